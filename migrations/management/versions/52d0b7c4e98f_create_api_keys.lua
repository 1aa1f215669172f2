-- Create api_keys
--
-- Revision ID: 52d0b7c4e98f
-- Revises: c95e03f7a186
-- Create Date: 2024-01-12 10:20:00

revision = "52d0b7c4e98f"
down_revision = "c95e03f7a186"
branch_labels = { "access" }
depends_on = nil

function upgrade()
  op.create_table("api_keys",
    sa.Column("id", sa.UUID(), { nullable = false, server_default = sa.text("gen_random_uuid()") }),
    sa.Column("tenant_id", sa.String(255), { nullable = false }),
    sa.Column("user_id", sa.UUID(), { nullable = false }),
    sa.Column("name", sa.String(255), { nullable = false }),
    sa.Column("secret_hash", sa.LargeBinary(), { nullable = false, comment = "SHA-256; the key is never stored" }),
    sa.Column("scopes", postgresql.JSONB(), { nullable = false, server_default = sa.text("'[]'::jsonb") }),
    sa.Column("revoked", sa.Boolean(), { nullable = false, server_default = sa.text("false") }),
    sa.Column("created_at", sa.DateTime { timezone = true }, { nullable = false, server_default = sa.func.now() }),
    sa.PrimaryKeyConstraint("id"),
    sa.ForeignKeyConstraint({ "tenant_id", "user_id" }, { "users.tenant_id", "users.id" },
      { name = "fk_api_keys_user", ondelete = "CASCADE" }))

  guards.ensure_tenant_column("api_keys")
  guards.ensure_tenant_indexes("api_keys", { "user_id" })
  guards.validate_tenant_isolation("api_keys")
end

function downgrade()
  op.drop_table("api_keys")
end
