-- Ends a runner's session at each point of its work, one after the other. A point is a transaction's first statement
-- that defines something, or its row of progress, which is its last. At the first point that is new the server
-- terminates the session, before it can commit. That it was struck is remembered over another connection: this one's
-- transaction is lost.

local helper = require "spec.helper"

local M = {}

local setting_up = [[
  CREATE SCHEMA killer;
  CREATE EXTENSION dblink SCHEMA killer;
  CREATE TABLE killer.struck (point text PRIMARY KEY);
  CREATE TABLE killer.state (awake boolean);
  INSERT INTO killer.state VALUES (false);
  CREATE FUNCTION killer.at_point(point text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog AS $$
  BEGIN
    IF session_user <> 'owner' OR NOT (SELECT awake FROM killer.state)
       OR EXISTS (SELECT FROM killer.struck s WHERE s.point = at_point.point) THEN
      RETURN;
    END IF;
    PERFORM killer.dblink_exec(format('dbname=%s host=%s user=postgres', current_database(),
      split_part(current_setting('unix_socket_directories'), ',', 1)),
      format('INSERT INTO killer.struck VALUES (%L)', point));
    PERFORM pg_terminate_backend(pg_backend_pid());
    PERFORM pg_sleep(10);
  END $$;
  CREATE FUNCTION killer.at_command() RETURNS event_trigger LANGUAGE plpgsql
  AS $$
  DECLARE
    place int := coalesce(nullif(current_setting('killer.place', true), ''), '0')::int + 1;
  BEGIN
    PERFORM set_config('killer.place', place::text, true);
    IF place = 1 THEN -- a transaction's other ends are those of its row of progress
      PERFORM killer.at_point(concat_ws(' ', tg_tag, md5(current_query())));
    END IF;
  END $$;
  CREATE FUNCTION killer.at_progress() RETURNS trigger LANGUAGE plpgsql
  AS $$
  BEGIN
    PERFORM killer.at_point(concat_ws(' ', tg_op, (coalesce(NEW, OLD)).part, (coalesce(NEW, OLD)).state,
      (coalesce(NEW, OLD)).cursor));
    RETURN NULL;
  END $$;
  GRANT USAGE ON SCHEMA killer TO owner;
  CREATE EVENT TRIGGER killer ON ddl_command_end EXECUTE FUNCTION killer.at_command();
  CREATE TRIGGER killer AFTER INSERT OR UPDATE OR DELETE ON dmlua_progress FOR EACH ROW
    EXECUTE FUNCTION killer.at_progress();
]]

--- Sets the killer up, asleep, in a database that has dmlua's tables. Answers an object: wake(), sleep(), struck() (how
--- many points since it was woken).
function M.new(database)
  local connection, killer = helper.connect(database.postgres), {}
  helper.execute(database, setting_up)

  function killer.wake()
    connection:exec "TRUNCATE killer.struck"
    connection:exec "UPDATE killer.state SET awake = true"
  end

  function killer.sleep()
    connection:exec "UPDATE killer.state SET awake = false"
  end

  function killer.struck()
    return connection:exec("SELECT count(*) AS n FROM killer.struck").rows[1].n
  end

  return killer
end

return M
