-- Add the first plans
--
-- Revision ID: 38f7d9a0c56e
-- Revises: 90be5c12d7f4
-- Create Date: 2024-01-16 13:00:00

revision = "38f7d9a0c56e"
down_revision = "90be5c12d7f4"
branch_labels = nil
depends_on = nil

local plans = {
  { id = "starter", name = "Starter", price = "29.00", limit = 100 },
  { id = "growth", name = "Growth", price = "99.00", limit = 1000 },
  { id = "carrier", name = "Carrier", price = "499.00", limit = null },
}

function upgrade()
  for _, plan in ipairs(plans) do
    op.execute("INSERT INTO plans (id, name, monthly_price, customer_limit) VALUES (:id, :name, :price, :limit)", plan)
  end
end

function downgrade()
  for _, plan in ipairs(plans) do
    op.execute("DELETE FROM plans WHERE id = :id", { id = plan.id })
  end
end
