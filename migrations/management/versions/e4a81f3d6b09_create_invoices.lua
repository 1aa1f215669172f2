-- Create invoices
--
-- Revision ID: e4a81f3d6b09
-- Revises: c95e03f7a186
-- Create Date: 2024-01-12 16:45:00

revision = "e4a81f3d6b09"
down_revision = "c95e03f7a186"
branch_labels = { "billing" }
depends_on = nil

function upgrade()
  op.create_table("invoices",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("subscription_id", sa.UUID(), { nullable = false }),
    sa.Column("number", sa.String(32), { nullable = false }),
    sa.Column("amount", sa.Numeric(12, 2), { nullable = false }),
    sa.Column("issued_on", sa.Date(), { nullable = false }),
    sa.Column("paid_at", sa.DateTime { timezone = true }),
    sa.Column("created_at", sa.DateTime { timezone = true }, { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "subscription_id" }, { "subscriptions.tenant_id", "subscriptions.id" },
      { name = "fk_invoices_subscription" }),
    sa.UniqueConstraint("tenant_id", "number", { name = "uq_invoices_tenant_id_number" }))

  guards.ensure_tenant_column("invoices")
  guards.ensure_tenant_indexes("invoices", { "issued_on" })
  guards.validate_tenant_isolation("invoices")
end

function downgrade()
  op.drop_table("invoices")
end
