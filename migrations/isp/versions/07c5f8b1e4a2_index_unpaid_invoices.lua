-- Index unpaid invoices by due date
--
-- Revision ID: 07c5f8b1e4a2
-- Revises: 4d7e0a92c6b3
-- Create Date: 2024-02-05 22:00:00

revision = "07c5f8b1e4a2"
down_revision = "4d7e0a92c6b3"
branch_labels = nil
depends_on = nil

-- Invoices are written all day. CONCURRENTLY does not stop them; it cannot run inside a transaction.
function upgrade()
  op.get_context():autocommit_block(function()
    op.create_index("idx_invoices_tenant_unpaid", "invoices", { "tenant_id", "due_on" },
      { postgresql_where = sa.text("paid_at IS NULL"), postgresql_concurrently = true })
  end)
end

function downgrade()
  op.get_context():autocommit_block(function()
    op.drop_index("idx_invoices_tenant_unpaid", "invoices", { postgresql_concurrently = true })
  end)
end
