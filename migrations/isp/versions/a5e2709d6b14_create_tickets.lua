-- Create tickets
--
-- Revision ID: a5e2709d6b14
-- Revises: 2b8e6f04a1c9
-- Create Date: 2024-01-22 14:00:00

revision = "a5e2709d6b14"
down_revision = "2b8e6f04a1c9"
branch_labels = { "support" }
depends_on = nil

function upgrade()
  op.create_table("tickets",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("customer_id", sa.UUID(), { nullable = false }),
    sa.Column("service_id", sa.UUID()),
    sa.Column("subject", sa.String(255), { nullable = false }),
    sa.Column("priority", sa.SmallInteger(), { nullable = false, server_default = sa.text("3") }),
    sa.Column("closed_at", sa.DateTime()),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "customer_id" }, { "customers.tenant_id", "customers.id" },
      { name = "fk_tickets_customer" }),
    sa.CheckConstraint("priority BETWEEN 1 AND 5", { name = "ck_tickets_priority" }))

  guards.ensure_tenant_column("tickets")
  guards.ensure_tenant_indexes("tickets", { "customer_id" })
  guards.validate_tenant_isolation("tickets")

  -- both tables are isolated by now: the check of the new key has to see every tenant's rows, and does
  op.create_foreign_key("fk_tickets_service", "tickets", "services", { "tenant_id", "service_id" },
    { "tenant_id", "id" })
end

function downgrade()
  op.drop_table("tickets")
end
