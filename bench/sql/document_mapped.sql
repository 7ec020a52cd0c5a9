            'order_id', NEW.ordr_no,
            'customer_id', btrim(NEW.cust_no),
            'status', CASE NEW.stat_cd WHEN 'N' THEN 'PLACED' WHEN 'P' THEN 'PAID'
                                       WHEN 'S' THEN 'SHIPPED' WHEN 'X' THEN 'CANCELLED' END,
            'placed_at', (NEW.ordr_tms AT TIME ZONE 'UTC') AT TIME ZONE 'America/New_York',
            'changed_at', NEW.chg_tms,
            'due', NEW.due_dt,
            'total_cents', round(NEW.tot_amt * 100)::bigint,
            'priority', NEW.prio_flg,
            'city', upper(NEW.shp_city),
            'remark', nullif(btrim(NEW.rmrk), '')
