-- Add a billing address to each subscription
--
-- Revision ID: d1732c8e4fb5
-- Revises: b60d4e7f2a91
-- Create Date: 2024-02-01 08:40:00

revision = "d1732c8e4fb5"
down_revision = "b60d4e7f2a91"
branch_labels = nil
depends_on = nil

-- Users belong to tenants, so they are read one tenant at a time, under that tenant's context.
function upgrade()
  op.add_column("subscriptions", sa.Column("billing_email", sa.String(255)))
  tenants.each(function(tenant)
    op.execute([[
      UPDATE subscriptions
      SET billing_email = (SELECT email FROM users WHERE users.tenant_id = :t AND role = 'owner'
                           ORDER BY created_at, id LIMIT 1)
      WHERE tenant_id = :t]], { t = tenant.id })
  end, { allow_empty = true })
end

function downgrade()
  op.drop_column("subscriptions", "billing_email")
end
