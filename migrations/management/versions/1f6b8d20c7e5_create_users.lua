-- Create users
--
-- Revision ID: 1f6b8d20c7e5
-- Revises: 7a3c1e90b4d2
-- Create Date: 2024-01-08 11:30:00

revision = "1f6b8d20c7e5"
down_revision = "7a3c1e90b4d2"
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("users",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("email", sa.String(255), { nullable = false }),
    sa.Column("full_name", sa.String(255), { nullable = false }),
    sa.Column("role", sa.String(32), { nullable = false, server_default = "member" }),
    sa.Column("created_at", sa.DateTime { timezone = true }, { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id" }, { "tenants.id" }, { name = "fk_users_tenant" }),
    -- other tables point at a user together with the tenant, so that no row can point across tenants
    sa.UniqueConstraint("tenant_id", "id", { name = "uq_users_tenant_id_id" }),
    sa.UniqueConstraint("tenant_id", "email", { name = "uq_users_tenant_id_email" }))

  guards.ensure_tenant_column("users")
  guards.ensure_tenant_indexes("users")
  guards.validate_tenant_isolation("users")
end

function downgrade()
  op.drop_table("users")
end
