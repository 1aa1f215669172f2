-- Customers with a service become active
--
-- Revision ID: b8d61e2f97c0
-- Revises: 07c5f8b1e4a2
-- Create Date: 2024-02-12 08:30:00

revision = "b8d61e2f97c0"
down_revision = "07c5f8b1e4a2"
branch_labels = nil
depends_on = nil

-- The old status is kept beside the new one, so that the way back needs no guess.
function upgrade()
  op.add_column("customers", sa.Column("former_status", sa.String(32)))
  tenants.each(function(tenant)
    op.execute([[
      UPDATE customers
      SET former_status = status, status = 'active'
      WHERE tenant_id = :t AND status = 'prospect'
        AND EXISTS (SELECT FROM services s
                    WHERE s.tenant_id = customers.tenant_id AND s.customer_id = customers.id AND s.active)]],
      { t = tenant.id })
  end, { allow_empty = true })
end

function downgrade()
  tenants.each(function(tenant)
    op.execute("UPDATE customers SET status = former_status WHERE tenant_id = :t AND former_status IS NOT NULL",
      { t = tenant.id })
  end, { allow_empty = true })
  op.drop_column("customers", "former_status")
end
