-- Create services
--
-- Revision ID: 2b8e6f04a1c9
-- Revises: abc123
-- Create Date: 2024-01-17 09:25:00

revision = "2b8e6f04a1c9"
down_revision = "abc123"
branch_labels = nil
depends_on = nil

-- A service is what a customer has: a line at an address, with a speed and a monthly price.
function upgrade()
  op.create_table("services",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("customer_id", sa.UUID(), { nullable = false }),
    sa.Column("kind", sa.String(32), { nullable = false }),
    sa.Column("address", sa.Text(), { nullable = false }),
    sa.Column("mbit_down", sa.Integer(), { nullable = false }),
    sa.Column("mbit_up", sa.Integer(), { nullable = false }),
    sa.Column("monthly_price", sa.Numeric(10, 2), { nullable = false }),
    sa.Column("active", sa.Boolean(), { nullable = false, server_default = sa.text("true") }),
    sa.Column("settings", postgresql.JSONB(), { nullable = false, server_default = sa.text("'{}'::jsonb") }),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "customer_id" }, { "customers.tenant_id", "customers.id" },
      { name = "fk_services_customer" }),
    sa.UniqueConstraint("tenant_id", "id", { name = "uq_services_tenant_id_id" }),
    sa.CheckConstraint("kind IN ('fibre', 'cable', 'dsl', 'radio')", { name = "ck_services_kind" }))

  guards.ensure_tenant_column("services")
  guards.ensure_tenant_indexes("services", { "customer_id" })
  guards.validate_tenant_isolation("services")
end

function downgrade()
  op.drop_table("services")
end
