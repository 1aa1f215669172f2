-- Merge access and billing
--
-- Revision ID: 90be5c12d7f4
-- Revises: 52d0b7c4e98f, e4a81f3d6b09
-- Create Date: 2024-01-15 09:10:00

revision = "90be5c12d7f4"
down_revision = { "52d0b7c4e98f", "e4a81f3d6b09" }
branch_labels = nil
depends_on = nil

function upgrade()
end

function downgrade()
end
