-- Create subscriptions
--
-- Revision ID: c95e03f7a186
-- Revises: 1f6b8d20c7e5
-- Create Date: 2024-01-10 14:05:00

revision = "c95e03f7a186"
down_revision = "1f6b8d20c7e5"
branch_labels = nil
depends_on = nil

function upgrade()
  op.create_table("subscriptions",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("plan_id", sa.String(64), { nullable = false }),
    sa.Column("status", sa.String(32), { nullable = false, server_default = "trial" }),
    sa.Column("starts_on", sa.Date(), { nullable = false }),
    sa.Column("ends_on", sa.Date()),
    sa.Column("created_at", sa.DateTime { timezone = true }, { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id" }, { "tenants.id" }, { name = "fk_subscriptions_tenant" }),
    sa.ForeignKeyConstraint({ "plan_id" }, { "plans.id" }, { name = "fk_subscriptions_plan" }),
    sa.UniqueConstraint("tenant_id", "id", { name = "uq_subscriptions_tenant_id_id" }),
    sa.CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", { name = "ck_subscriptions_period" }))

  guards.ensure_tenant_column("subscriptions")
  guards.ensure_tenant_indexes("subscriptions", { "status" })
  guards.validate_tenant_isolation("subscriptions")
end

function downgrade()
  op.drop_table("subscriptions")
end
