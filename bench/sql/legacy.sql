-- A table of ten columns as old applications have them; {name} is one contender's copy.
CREATE TABLE legacy.{name} (
    ordr_no     integer PRIMARY KEY,
    cust_no     char(8) NOT NULL,
    stat_cd     char(1) NOT NULL,
    ordr_tms    timestamptz NOT NULL,
    chg_tms     timestamptz NOT NULL,
    due_dt      date,
    tot_amt     numeric(10,2) NOT NULL,
    prio_flg    boolean NOT NULL,
    shp_city    varchar(30),
    rmrk        text
);
