"""Files for other systems and partners: VICS, CASE/UCO, address markers, the form for children's services."""
