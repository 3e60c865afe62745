"""From a draft to the rows of the record tables, with covert names taken out."""
