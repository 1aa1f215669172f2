-- Create customers
--
-- Revision ID: def456
-- Revises:
-- Create Date: 2024-01-09 10:00:00

revision = "def456"
down_revision = nil
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("customers",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("email", sa.String(255), { nullable = false }),
    sa.Column("status", sa.String(32), { nullable = false, server_default = "prospect" }),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    -- what points at a customer points at it together with its tenant, so that no row can point across tenants
    sa.UniqueConstraint("tenant_id", "id", { name = "uq_customers_tenant_id_id" }))

  guards.ensure_tenant_column("customers")
  guards.ensure_tenant_indexes("customers", { "email", "status" })
  guards.validate_tenant_isolation("customers")
end

function downgrade()
  op.drop_table("customers")
end
