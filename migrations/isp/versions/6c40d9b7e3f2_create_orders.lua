-- Create orders
--
-- Revision ID: 6c40d9b7e3f2
-- Revises: 2b8e6f04a1c9
-- Create Date: 2024-01-19 11:15:00

revision = "6c40d9b7e3f2"
down_revision = "2b8e6f04a1c9"
branch_labels = { "sales" }
depends_on = nil

function upgrade()
  op.create_table("orders",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("customer_id", sa.UUID(), { nullable = false }),
    sa.Column("amount", sa.Decimal(12, 2), { nullable = false }),
    sa.Column("status", sa.String(32), { nullable = false, server_default = "open" }),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "customer_id" }, { "customers.tenant_id", "customers.id" },
      { name = "fk_orders_customer" }),
    sa.UniqueConstraint("tenant_id", "id", { name = "uq_orders_tenant_id_id" }))

  guards.ensure_tenant_column("orders")
  guards.ensure_tenant_indexes("orders", { "status", "customer_id" })
  guards.validate_tenant_isolation("orders")
end

function downgrade()
  op.drop_table("orders")
end
