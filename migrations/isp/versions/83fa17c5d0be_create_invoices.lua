-- Create invoices
--
-- Revision ID: 83fa17c5d0be
-- Revises: 6c40d9b7e3f2
-- Create Date: 2024-01-22 10:50:00

revision = "83fa17c5d0be"
down_revision = "6c40d9b7e3f2"
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("invoices",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("order_id", sa.UUID(), { nullable = false }),
    sa.Column("number", sa.String(32), { nullable = false }),
    sa.Column("amount", sa.Numeric(12, 2), { nullable = false }),
    sa.Column("due_on", sa.Date(), { nullable = false }),
    sa.Column("paid_at", sa.DateTime()),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "order_id" }, { "orders.tenant_id", "orders.id" },
      { name = "fk_invoices_order" }))

  -- an invoice number is a tenant's own: two tenants may both have a number 1
  op.create_unique_constraint("uq_invoices_tenant_id_number", "invoices", { "tenant_id", "number" })

  guards.ensure_tenant_column("invoices")
  guards.ensure_tenant_indexes("invoices")
  guards.validate_tenant_isolation("invoices")
end

function downgrade()
  op.drop_table("invoices")
end
