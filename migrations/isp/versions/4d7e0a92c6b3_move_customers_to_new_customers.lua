-- Move customers to new_customers
--
-- Revision ID: 4d7e0a92c6b3
-- Revises: f19b3c8e50d7
-- Create Date: 2024-01-29 13:20:00

revision = "4d7e0a92c6b3"
down_revision = "f19b3c8e50d7"
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("new_customers",
    sa.Column("id", sa.UUID(), { nullable = false }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("email", sa.String(255), { nullable = false }),
    sa.Column("created_at", sa.DateTime(), { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("tenant_id", "email", { name = "uq_new_customers_tenant_id_email" }))

  guards.ensure_tenant_column("new_customers")
  guards.ensure_tenant_indexes("new_customers")
  guards.validate_tenant_isolation("new_customers")

  -- Each tenant's rows are copied in its own context; a customer that was entered twice is kept once.
  tenants.each(function(tenant)
    op.execute([[
      INSERT INTO new_customers (id, tenant_id, name, email, created_at)
      SELECT DISTINCT ON (lower(email)) id, tenant_id, name, lower(email), created_at
      FROM customers
      WHERE tenant_id = :t
      ORDER BY lower(email), created_at, id]], { t = tenant.id })
  end, { allow_empty = true })
end

function downgrade()
  op.drop_table("new_customers")
end
