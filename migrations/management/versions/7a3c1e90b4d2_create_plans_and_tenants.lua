-- Create plans and tenants
--
-- Revision ID: 7a3c1e90b4d2
-- Revises:
-- Create Date: 2024-01-08 09:00:00

revision = "7a3c1e90b4d2"
down_revision = nil
branch_labels = nil
depends_on = nil

-- Both tables belong to the platform itself: they list the tenants and what they can buy, and no tenant owns a row.
function upgrade()
  op.create_table("plans",
    sa.Column("id", sa.String(64), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("monthly_price", sa.Numeric(10, 2), { nullable = false }),
    sa.Column("customer_limit", sa.Integer(), { comment = "NULL: no limit" }),
    sa.PrimaryKeyConstraint("id"),
    sa.CheckConstraint("monthly_price >= 0", { name = "ck_plans_monthly_price" }),
    { tenant = "global" })

  op.create_table("tenants",
    sa.Column("id", sa.String(255), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("status", sa.String(32), { nullable = false, server_default = "active" }),
    sa.Column("created_at", sa.DateTime { timezone = true }, { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.CheckConstraint("status IN ('active', 'suspended', 'closed')", { name = "ck_tenants_status" }),
    { tenant = "global" })
end

function downgrade()
  op.drop_table("tenants")
  op.drop_table("plans")
end
