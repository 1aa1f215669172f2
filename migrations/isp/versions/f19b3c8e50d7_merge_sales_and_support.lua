-- Merge sales and support
--
-- Revision ID: f19b3c8e50d7
-- Revises: 83fa17c5d0be, a5e2709d6b14
-- Create Date: 2024-01-24 09:00:00

revision = "f19b3c8e50d7"
down_revision = { "83fa17c5d0be", "a5e2709d6b14" }
branch_labels = nil
depends_on = nil

function upgrade()
end

function downgrade()
end
