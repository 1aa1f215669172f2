-- Add customer_profiles table
--
-- Revision ID: abc123
-- Revises: def456
-- Create Date: 2024-01-15 10:00:00

revision = "abc123"
down_revision = "def456"
branch_labels = nil
depends_on = nil

function upgrade()
  -- Create table with tenant isolation
  op.create_table("customer_profiles",
    sa.Column("id", sa.UUID(), { nullable = false }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("email", sa.String(255), { nullable = false }),
    sa.Column("created_at", sa.DateTime(), { nullable = false }),
    sa.Column("updated_at", sa.DateTime(), { nullable = false }),
    sa.PrimaryKeyConstraint("id"))

  -- Apply tenant isolation guards
  guards.ensure_tenant_column("customer_profiles")
  guards.ensure_tenant_indexes("customer_profiles", { "name", "email" })

  -- Enable RLS if configured
  guards.validate_tenant_isolation("customer_profiles")
end

function downgrade()
  op.drop_table("customer_profiles")
end
