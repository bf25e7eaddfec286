-- Whether the other side holds a message that has arrived is asked first by what is cheap to know of it.
CREATE INDEX pair_measure ON pair (internal_date, size);
