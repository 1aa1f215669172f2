"""Random migrations as twins: what Alembic carries out of them, dmlua carries out, too, by running and by --sql, and the
three databases must dump the same. spec/fuzz/run-twin starts it. Arguments: first seed, last seed, dmlua, the folder of
PostgreSQL's programs, the server's socket folder, a folder to work in."""
import difflib
import os
import random
import re
import subprocess
import sys
import warnings

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql

STEPS = 60
CONVENTIONS = {"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s"}
NAMES = ["a", "b", "Amount", "user", "two words", "per%cent", 'quo"te', "é", "x_y", "order", "tenant_id", "created_at",
    "c1", "sel-ect", "semi;colon", "it's", "back\\slash", "a.b", "колонка", "$1", ":x"]
TEXTS = ["it's", "a\\b", '"q"', "%s %(x)s", "$1", ":name", "é", "--", "/* */", "", " ", "new\nline", "E'x'", "{}",
    "null"]
LABELS = ["a", "b c", "it's"]
ENUMS = ["e1", "E 2", "e3"]


class Call:
    """A call, written in Python or in Lua."""

    def __init__(self, function, *arguments, **options):
        self.function, self.arguments, self.options = function, arguments, options

    def python(self):
        options = [f"{name}={python(value)}" for name, value in self.options.items()]
        return f"{self.function}({', '.join([python(value) for value in self.arguments] + options)})"

    def lua(self):
        arguments = [lua(value) for value in self.arguments]
        if self.options:
            arguments.append(lua(self.options))
        return f"{LUA_NAMES.get(self.function, self.function)}({', '.join(arguments)})"


class Batch(Call):
    def python(self):
        head = super().python().replace("op.batch", "with op.batch") + " as b:\n"
        return head + "\n".join("    " + call.python() for call in self.calls)

    def lua(self):
        options = lua(self.options) if self.options else "{}"
        body = "\n".join("    " + call.lua() for call in self.calls)
        return f"op.batch_alter_table({lua(self.arguments[0])}, {options}, function(b)\n{body}\n  end)"


class CreateEnum(Call):
    def python(self):
        return f"postgresql.ENUM(*{LABELS!r}, name={self.function!r}).create(op.get_bind(), {python(self.arguments[0])})"

    def lua(self):
        labels = ", ".join(lua(label) for label in LABELS)
        return (f"postgresql.ENUM({labels}, {{ name = {lua(self.function)} }})"
            f":create(op.get_bind(), {{ checkfirst = {lua(self.arguments[0])} }})")


LUA_NAMES = {"sa.true": "sa.true_", "sa.false": "sa.false_"}


def python(value):
    if isinstance(value, Call):
        return value.python()
    if isinstance(value, list):
        return "[" + ", ".join(map(python, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(python, value)) + ",)"
    return repr(value)


def lua(value):
    if isinstance(value, Call):
        return value.lua()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(map(lua, value)) + " }"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(key)}] = {lua(entry)}" for key, entry in value.items()) + " }"
    return repr(value)


class Generator:
    """Calls that mostly make sense, for tables that it remembers."""

    def __init__(self, seed):
        self.random, self.count, self.tables = random.Random(seed), 0, []
        self.chance = lambda share: self.random.random() < share
        self.one = self.random.choice

    def unique(self, prefix):
        self.count += 1
        return f"{prefix}{self.count}" if self.chance(0.8) else f"{prefix} {self.one(NAMES)}{self.count}"

    def some(self, table, most):
        return self.random.sample(table["columns"], min(most, len(table["columns"])))

    def type(self):
        one, call = self.one, Call
        e1 = call("postgresql.ENUM", *LABELS, name="e1", create_type=False)
        return one([
            lambda: call("sa.Integer"), lambda: call("sa.BigInteger"), lambda: call("sa.SmallInteger"),
            lambda: call("sa.String", one([1, 20, 255])), lambda: call("sa.String"), lambda: call("sa.Text"),
            lambda: call("sa.Unicode", length=9), lambda: call("sa.CHAR", one([1, 3])), lambda: call("sa.Boolean"),
            lambda: call("sa.Numeric", one([5, 12]), one([0, 2])), lambda: call("sa.Numeric"), lambda: call("sa.Date"),
            lambda: call("sa.Float"), lambda: call("sa.Float", precision=one([10, 53])), lambda: call("sa.Interval"),
            lambda: call("sa.DateTime", timezone=one([True, False])), lambda: call("sa.TIMESTAMP", timezone=True),
            lambda: call("sa.Time", timezone=one([True, False])), lambda: call("postgresql.TIMESTAMP", precision=3),
            lambda: call("sa.JSON"), lambda: call("postgresql.JSONB"), lambda: call("postgresql.UUID", as_uuid=True),
            lambda: call("sa.LargeBinary", length=5), lambda: call("postgresql.ARRAY", call("sa.String", 5)),
            lambda: call("postgresql.ARRAY", call("sa.Integer"), dimensions=2), lambda: call("postgresql.INET"),
            lambda: call("postgresql.INT4RANGE"), lambda: call("postgresql.TSVECTOR"),
            lambda: call("sa.Enum", *LABELS, name=one(ENUMS)), lambda: e1, lambda: call("postgresql.ARRAY", e1),
            lambda: call("sa.Enum", "x", "longer", name="ck_e", native_enum=False, create_constraint=one([True, False])),
        ])()

    def default(self, type_):
        name, one, call = type_.function.split(".")[1], self.one, Call
        if name in ("Integer", "BigInteger", "SmallInteger", "Numeric", "Float"):
            return one(["0", "-1", call("sa.text", "1 + 1")])
        if name in ("String", "Text", "Unicode", "CHAR"):
            return one([one(TEXTS), call("sa.text", "'x'::text"), call("sa.func.lower", "It's")])
        if name == "Boolean":
            return one([call("sa.true"), call("sa.false"), "true", call("sa.text", "false")])
        if name in ("DateTime", "TIMESTAMP"):
            return one([call("sa.func.now"), call("sa.text", "now()"), call("sa.func.current_timestamp")])
        return {"JSON": "{}", "JSONB": call("sa.text", "'[]'"), "UUID": call("sa.text", "gen_random_uuid()")}.get(name)

    def foreign_key(self, name="sa.ForeignKey"):
        keyed = [table for table in self.tables if table["id"]]
        if not keyed:
            return None
        table = self.one(keyed)
        target = (table["schema"] + "." if table["schema"] else "") + table["name"] + ".id"
        options = self.one([{}, {"ondelete": "CASCADE"}, {"ondelete": "SET NULL", "onupdate": "CASCADE"},
            {"name": self.unique("fk")}, {"deferrable": True, "initially": "DEFERRED", "name": self.unique("fk")},
            {"match": "FULL", "name": self.unique("fk")}, {"use_alter": True, "name": self.unique("fk")}])
        return Call(name, *([target] if name == "sa.ForeignKey" else [["id"], [target]]), **options)

    def column(self, name=None):
        type_, options, items = self.type(), {}, []
        if self.chance(0.5):
            options["nullable"] = self.chance(0.6)
        default = self.chance(0.3) and self.default(type_)
        if default:
            options["server_default"] = default
        elif type_.function in ("sa.Integer", "sa.BigInteger") and self.chance(0.2):
            items = [Call("sa.Identity", **self.one([{}, {"always": True}, {"start": 5, "increment": 2, "cycle": True},
                {"minvalue": -5, "maxvalue": 100, "cache": 3}]))]
        for option in ("unique", "index"):
            if self.chance(0.1):
                options[option] = True
        if self.chance(0.15):
            options["comment"] = self.one(TEXTS[:9])
        key = self.chance(0.12) and self.foreign_key()
        if key:
            type_, items = Call("sa.Integer"), [key]
            options.pop("server_default", None)
        return Call("sa.Column", name or self.one(NAMES), type_, *items, **options)

    # Each of the following answers a call and what has changed when it went well; `table` is one that is there.

    def create_table(self, _):
        schema = self.one([None, None, None, "s 1"])
        name = self.one(["t", "T", "tab le", "order", "tü"]) + str(self.count)
        self.count += 1
        names, keyed = self.random.sample(NAMES, self.random.randint(0, 6)), self.chance(0.8)
        items, options = [self.column(column) for column in names], {"schema": schema} if schema else {}
        if keyed:
            key = self.one([{"primary_key": True}, {"nullable": False}, {"primary_key": True, "autoincrement": False}])
            items.insert(0, Call("sa.Column", "id", self.one([Call("sa.Integer"), Call("sa.BigInteger")]), **key))
            if "primary_key" not in key:
                items.append(Call("sa.PrimaryKeyConstraint", "id", **self.one([{}, {"name": self.unique("pk")}])))
            if self.chance(0.3):
                items.append(Call("sa.CheckConstraint", self.one(["id > 0", "id <> 5 OR 'a%b' = 'a%b'"]),
                    name=self.unique("ck")))
            key = self.chance(0.2) and self.foreign_key("sa.ForeignKeyConstraint")
            items += [key] if key else []
        if names and self.chance(0.3):
            items.append(Call("sa.UniqueConstraint", *names[:2], **self.one([{}, {"name": self.unique("uq")},
                {"name": self.unique("uq"), "deferrable": True, "initially": "DEFERRED"}])))
        if self.chance(0.2):
            options["comment"] = self.one(TEXTS[:8])
        if self.chance(0.05):
            options["prefixes"] = ["UNLOGGED"]
        made = {"schema": schema, "name": name, "id": keyed, "columns": (["id"] if keyed else []) + names,
            "indexes": [], "constraints": []}
        return Call("op.create_table", name, *items, **options), lambda: self.tables.append(made)

    def add_column(self, table):
        column = self.column()
        return Call("op.add_column", table["name"], column), lambda: table["columns"].append(column.arguments[0])

    def drop_column(self, table):
        name = self.one(table["columns"])
        return Call("op.drop_column", table["name"], name), lambda: self.forget(table, name)

    def forget(self, table, name, new=None):
        left = [column for column in table["columns"] if new or column != name]
        table["columns"] = [new if column == name else column for column in left]
        table["id"] = table["id"] and name != "id"

    def alter_column(self, table):
        name, options = self.one(table["columns"]), {}
        for share, option, value in [(0.4, "nullable", lambda: self.chance(0.6)), (0.3, "type_", self.type),
                (0.15, "postgresql_using", lambda: "NULL"), (0.2, "comment", lambda: self.one([None] + TEXTS[:8])),
                (0.3, "server_default", lambda: self.one([None, self.one(TEXTS), Call("sa.text", "NULL"),
                    Call("sa.true"), Call("sa.Identity")])),
                (0.2, "new_column_name", lambda: self.one(NAMES)), (0.3, "existing_type", self.type),
                (0.2, "existing_nullable", lambda: True), (0.1, "existing_server_default", lambda: None)]:
            if self.chance(share):
                options[option] = value()
        if "type_" not in options:
            options.pop("postgresql_using", None)
        new = options.get("new_column_name")
        return Call("op.alter_column", table["name"], name, **options), lambda: new and self.forget(table, name, new)

    def create_index(self, table):
        name, options = self.unique("ix"), {}
        columns = self.some(table, 2)
        if self.chance(0.1):
            columns.insert(0, Call("sa.text", "(1 + 1)"))
        for share, option, value in [(0.25, "unique", True), (0.1, "postgresql_include", self.some(table, 1)),
                (0.2, "postgresql_where", Call("sa.text", "'a%b' LIKE '%'")), (0.1, "postgresql_with", {"fillfactor": 50}),
                (0.1, "postgresql_using", self.one(["btree", "hash", "gin"]))]:
            if self.chance(share):
                options[option] = value
        call = Call("op.create_index", self.one([name, Call("op.f", name)]), table["name"], columns, **options)
        return call, lambda: table["indexes"].append(name)

    def drop_index(self, table):
        name = self.one(table["indexes"])
        return Call("op.drop_index", name, table_name=table["name"]), lambda: table["indexes"].remove(name)

    def constrain(self, table):
        name, columns = self.unique("con"), self.some(table, 2)
        call = self.one([
            lambda: Call("op.create_unique_constraint", self.one([name, None]), table["name"], columns,
                **self.one([{}, {"deferrable": True, "initially": "IMMEDIATE"}])),
            lambda: Call("op.create_check_constraint", name, table["name"], self.one(["'a%b' <> 'x'",
                Call("sa.text", "1 < 2")]), **self.one([{}, {"postgresql_not_valid": True}])),
            lambda: Call("op.create_primary_key", self.one([name, None]), table["name"], columns),
            lambda: Call("op.create_exclude_constraint", name, table["name"], (columns[0], "="), using="btree",
                **self.one([{}, {"where": "1 = 1"}, {"deferrable": True, "initially": "DEFERRED"}])),
        ])()
        return call, lambda: table["constraints"].append(name)

    def refer(self, table):
        target, name = self.one(self.tables), self.unique("fk")
        options = {"source_schema": table["schema"]} if table["schema"] else {}
        if target["schema"]:
            options["referent_schema"] = target["schema"]
        options.update(self.one([{}, {"ondelete": "SET NULL"}, {"onupdate": "CASCADE", "match": "FULL"},
            {"deferrable": True, "initially": "DEFERRED"}, {"postgresql_not_valid": True}]))
        call = Call("op.create_foreign_key", self.one([name, None]), table["name"], target["name"], self.some(table, 1),
            ["id"], **options)
        return call, lambda: table["constraints"].append(name)

    def drop_constraint(self, table):
        name = self.one(table["constraints"])
        return Call("op.drop_constraint", name, table["name"]), lambda: table["constraints"].remove(name)

    def rename_table(self, table):
        name = self.one(["r", "R n"]) + str(self.count)
        self.count += 1
        return Call("op.rename_table", table["name"], name), lambda: table.update(name=name)

    def drop_table(self, table):
        return Call("op.drop_table", table["name"]), lambda: self.tables.remove(table)

    def comment(self, table):
        return self.one([Call("op.create_table_comment", table["name"], self.one([None] + TEXTS)),
            Call("op.drop_table_comment", table["name"])]), None

    def bulk_insert(self, table):
        columns = table["columns"][:3]
        options = {"schema": table["schema"]} if table["schema"] else {}
        target = Call("sa.table", table["name"], *[Call("sa.column", name) for name in columns], **options)
        rows = [{name: self.one([None, "1"]) for name in columns} for _ in range(self.random.randint(1, 3))]
        return Call("op.bulk_insert", target, rows), None

    def create_enum(self, _):
        return CreateEnum(self.one(ENUMS), self.one([True, False])), None

    def batch(self, table):
        batch, added, dropped = Batch("op.batch_alter_table", table["name"]), [], []
        batch.calls = []
        for _ in range(self.random.randint(1, 4)):
            kind = self.one(["add", "add", "drop", "alter", "index", "unique"])
            if kind == "add":
                batch.calls.append(Call("b.add_column", self.column()))
                added.append(batch.calls[-1].arguments[0].arguments[0])
            elif kind == "drop":
                dropped.append(self.one(table["columns"]))
                batch.calls.append(Call("b.drop_column", dropped[-1]))
            elif kind == "alter":
                batch.calls.append(Call("b.alter_column", self.one(table["columns"]), **self.one([{"nullable": True},
                    {"server_default": None}, {"type_": Call("sa.Text"), "postgresql_using": "NULL"}])))
            elif kind == "index":
                batch.calls.append(Call("b.create_index", self.unique("ix"), self.some(table, 1)))
            else:
                batch.calls.append(Call("b.create_unique_constraint", self.unique("uq"), self.some(table, 1)))

        def changed():
            table["columns"] += added
            for name in dropped:
                self.forget(table, name)
        return batch, changed

    def next(self):
        kinds = {self.create_table: 18, self.add_column: 16, self.drop_column: 6, self.alter_column: 18,
            self.create_index: 12, self.drop_index: 3, self.constrain: 10, self.refer: 5, self.drop_constraint: 3,
            self.rename_table: 2, self.drop_table: 2, self.comment: 3, self.bulk_insert: 4, self.create_enum: 3,
            self.batch: 10}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0] if self.tables else self.create_table
        table = self.one(self.tables) if self.tables else None
        needs = {self.drop_index: "indexes", self.drop_constraint: "constraints"}.get(kind, "columns")
        if kind not in (self.create_table, self.create_enum) and not table[needs]:
            kind = self.create_table
        call, changed = kind(table)
        own = kind in (self.create_table, self.create_enum, self.bulk_insert, self.refer)
        if table and table["schema"] and not own:
            call.options["schema"] = table["schema"]
        return call, changed


class Databases:
    def __init__(self, programs, host):
        self.programs, self.host = programs, host

    def run(self, program, *arguments, **options):
        return subprocess.run([f"{self.programs}/{program}", "-h", self.host, *arguments], capture_output=True, text=True,
            **options)

    def make(self, name):
        self.run("dropdb", "-f", "-U", "postgres", "--if-exists", name)
        self.run("createdb", "-U", "postgres", "-O", "owner", name)

    def dump(self, name):
        """Without what differs from run to run: times, and where a sequence stands that a failed call had asked."""
        text = self.run("pg_dump", "--inserts", "-U", "postgres", "-T", "dmlua_*", "-T", "alembic_version", name).stdout
        for pattern in (r"\\(un)?restrict \S+", r"'20\d\d-\d\d-\d\d \d\d:\d\d:[^']*'", r"SELECT pg_catalog.setval.*"):
            text = re.sub(pattern, "", text)
        return text


def carried_out(url, seed):
    """The calls that Alembic carries out; one that fails is undone and left out."""
    options = {"target_metadata": sa.MetaData(naming_convention=CONVENTIONS)} if seed % 2 else None
    generator, good = Generator(seed), [Call("op.execute", 'CREATE SCHEMA "s 1"'), CreateEnum("e1", False)]
    with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as connection:
        operations = Operations(MigrationContext.configure(connection, opts=options))
        names = {"op": operations, "sa": sa, "postgresql": postgresql}
        for call in good:
            exec(call.python(), names)
        for _ in range(STEPS):
            call, changed = generator.next()
            point = connection.begin_nested()
            try:
                exec(call.python(), names)
                connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
                point.commit()
            except Exception:
                point.rollback()
                continue
            good.append(call)
            if changed:
                changed()
    return good


def write_project(folder, url, calls, seed):
    os.makedirs(folder + "/versions", exist_ok=True)
    with open(folder + "/dmlua.ini", "w") as ini:
        ini.write(f"[dmlua]\nscript_location = .\nenvironment = development\nisolation = none\nurl = {url}\n")
        for kind, template in CONVENTIONS.items() if seed % 2 else []:
            ini.write(f"naming_convention.{kind} = {template.replace('%', '%%')}\n")
    with open(folder + "/versions/aaaa.lua", "w") as file:
        body = "\n".join("  " + call.lua() for call in calls)
        file.write(f'revision = "aaaa"\ndown_revision = nil\nfunction upgrade()\n{body}\nend\nfunction downgrade() end\n')


def check(seed, program, databases, folder):
    """What is wrong with dmlua's twins of this seed, or nothing; and how many calls there were."""
    names = ["twin_alembic", "twin_dmlua", "twin_sql"]
    urls = [f"postgresql://owner@/{name}?host={databases.host}" for name in names]
    for name in names:
        databases.make(name)
    calls = carried_out(urls[0], seed)
    write_project(folder, urls[1], calls, seed)
    ran = subprocess.run([program, "upgrade", "head"], cwd=folder, capture_output=True, text=True)
    written = subprocess.run([program, "upgrade", "head", "--sql"], cwd=folder, capture_output=True, text=True)
    played = databases.run("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-U", "owner", "twin_sql", input=written.stdout)
    for result in (ran, written, played):
        if result.returncode:
            return result.stderr[-2000:], len(calls)
    expected = databases.dump(names[0]).split("\n")
    for name in names[1:]:
        made = databases.dump(name).split("\n")
        difference = list(difflib.unified_diff(expected, made, names[0], name, lineterm="", n=2))
        if difference:
            return "\n".join(difference[:60]), len(calls)
    return None, len(calls)


def main(first, last, program, programs, host, folder):
    warnings.simplefilter("ignore")
    failures = 0
    for seed in range(int(first), int(last) + 1):
        fault, count = check(seed, program, Databases(programs, host), f"{folder}/{seed}")
        print(f"seed {seed}: {count} calls" + (f": {fault}" if fault else ""), flush=True)
        failures += fault is not None
    return 1 if failures else 0


sys.exit(main(*sys.argv[1:]))
