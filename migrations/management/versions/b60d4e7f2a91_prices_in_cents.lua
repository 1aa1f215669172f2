-- Keep prices in cents
--
-- Revision ID: b60d4e7f2a91
-- Revises: 38f7d9a0c56e
-- Create Date: 2024-01-22 15:30:00

revision = "b60d4e7f2a91"
down_revision = "38f7d9a0c56e"
branch_labels = nil
depends_on = nil

-- Rows are read through the bind: a numeric comes as PostgreSQL prints it, so no digit is lost on the way.
local function cents(price)
  local whole, fraction = price:match("^(%d+)%.(%d%d)$")
  return math.tointeger(tonumber(whole .. fraction))
end

function upgrade()
  op.add_column("plans", sa.Column("monthly_cents", sa.BigInteger()))
  local bind = op.get_bind()
  for _, plan in ipairs(bind:execute("SELECT id, monthly_price FROM plans ORDER BY id"):fetchall()) do
    op.execute("UPDATE plans SET monthly_cents = :cents WHERE id = :id",
      { id = plan.id, cents = cents(plan.monthly_price) })
  end
  op.alter_column("plans", "monthly_cents", { nullable = false })
  op.create_check_constraint("ck_plans_monthly_cents", "plans", "monthly_cents >= 0")
  op.drop_column("plans", "monthly_price")
end

function downgrade()
  op.add_column("plans", sa.Column("monthly_price", sa.Numeric(10, 2)))
  op.execute("UPDATE plans SET monthly_price = monthly_cents / 100.0")
  op.alter_column("plans", "monthly_price", { nullable = false })
  op.create_check_constraint("ck_plans_monthly_price", "plans", "monthly_price >= 0")
  op.drop_column("plans", "monthly_cents")
end
