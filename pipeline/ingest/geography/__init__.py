"""Which local authority and which police force an address belongs to, offline."""
