-- What changes prices, budgets and contracts is in the log as well. What etl_ext notes in a budget is no change of it.

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.price FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('set_price', 'set_price', 'drop_price', 'resource');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OF amount, period, pipeline_id, tags, warn_pct, owner OR DELETE ON etl.budget FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('set_budget', 'set_budget', 'drop_budget', 'name');
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON etl.contract FOR EACH ROW
  EXECUTE FUNCTION etl.audit_change('set_contract', 'set_contract', 'drop_contract', 'source');
