-- Orders with lines, as old applications have them; {name} is one contender's copy.
CREATE TABLE legacy.{name} (
    ordr_no     integer PRIMARY KEY,
    cust_no     char(8) NOT NULL,
    stat_cd     char(1) NOT NULL,
    ordr_tms    timestamptz NOT NULL
);
CREATE TABLE legacy.{name}_ln (
    ordr_no     integer NOT NULL,
    ln_no       integer NOT NULL,
    sku_cd      varchar(20) NOT NULL,
    qty         integer NOT NULL,
    unt_prc     numeric(10,2) NOT NULL,
    bin_loc     varchar(10),
    PRIMARY KEY (ordr_no, ln_no)
);
