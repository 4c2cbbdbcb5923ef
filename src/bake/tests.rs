//! Bake's files, and the targets that they come to.

use super::{File, resolve};
use serde_json::{Value, json};

fn baked(files: &[(&str, &str)], names: &[&str], overrides: &[&str], given: &[(&str, &str)]) -> anyhow::Result<Value> {
    let values = |name: &str| given.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_string());
    let mut file = File::default();
    for (name, text) in files {
        file.read(name, text, &values)?;
    }
    let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let resolved = resolve(&file, &owned(names), &owned(overrides), &values)?;
    Ok(serde_json::to_value(resolved)?["target"].take())
}

fn hcl(text: &str, names: &[&str], given: &[(&str, &str)]) -> Value {
    baked(&[("docker-bake.hcl", text)], names, &[], given).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The default target's attribute, from an expression.
fn one(expression: &str) -> Value {
    let text = format!(
        "V = \"v\"\nL = [\"a\", \"b\"]\nM = {{ k = \"x\", n = 2 }}\nB = true\ntarget \"default\" {{ tags = [for x in flatten([{expression}]) : format(\"%v\", x)] }}"
    );
    hcl(&text, &[], &[])["default"]["tags"].take()
}

#[test]
fn expressions() {
    for (expression, expected) in [
        ("\"a${V}b\"", json!(["avb"])),
        ("V == \"v\" ? \"yes\" : \"no\"", json!(["yes"])),
        ("1 + 2 * 3", json!(["7"])),
        ("7 / 2", json!(["3.5"])),
        ("[for x in L : upper(x)]", json!(["A", "B"])),
        ("[for i, x in L : \"${i}${x}\" if x != \"a\"]", json!(["1b"])),
        ("[for k, v in M : \"${k}=${v}\"]", json!(["k=x", "n=2"])),
        ("M.k", json!(["x"])),
        ("M[\"n\"]", json!(["2"])),
        ("L[1]", json!(["b"])),
        ("L[*]", json!(["a", "b"])),
        ("!B || 2 > 1 && true", json!(["true"])),
        ("\"%{ if B }on%{ else }off%{ endif }\"", json!(["on"])),
        ("\"%{ for x in L }<${x}>%{ endfor }\"", json!(["<a><b>"])),
        ("join(\"-\", concat(L, [\"c\"]))", json!(["a-b-c"])),
        ("split(\",\", \"a,b\")", json!(["a", "b"])),
        ("replace(\"a.b\", \".\", \"-\")", json!(["a-b"])),
        ("regex_replace(\"v1.2.3\", \"^v([0-9]+).*\", \"$1\")", json!(["1"])),
        ("substr(\"hello\", 1, 3)", json!(["ell"])),
        ("format(\"%03d|%-3s|%s\", 7, \"a\", true)", json!(["007|a  |true"])),
        ("lookup(M, \"no\", \"other\")", json!(["other"])),
        ("length(L)", json!(["2"])),
        ("sanitize(\"a/b:c\")", json!(["a_b_c"])),
        ("keys(merge(M, { z = 1 }))", json!(["k", "n", "z"])),
        ("coalesce(\"\", \"x\")", json!(["x"])),
        ("max([1, 3]...)", json!(["3"])),
        ("range(3)", json!(["0", "1", "2"])),
        ("sha256(\"\")", json!(["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])),
    ] {
        assert_eq!(one(expression), expected, "{expression}");
    }
}

#[test]
fn each_function_can_be_called() {
    // A name in the list that no branch knows would say so.
    for name in super::functions::NAMES {
        for count in 0..4 {
            let arguments = vec![json!("1"); count];
            if let Err(error) = super::functions::call(name, arguments) {
                assert_ne!(error.to_string(), "it cannot be called so", "{name}");
            }
        }
    }
}

#[test]
fn variables_are_of_their_defaults_type() {
    let text = "variable \"TAG\" { default = \"latest\" }\nvariable \"DEBUG\" { default = false }\nvariable \"N\" { default = 1 }\n\
        variable \"NONE\" {}\nFULL = \"app:${TAG}-${N + 1}\"\n\
        target \"default\" {\n tags = [FULL]\n no-cache = DEBUG\n args = { NONE = NONE, D = DEBUG ? \"1\" : null }\n}";
    assert_eq!(
        hcl(text, &[], &[])["default"],
        json!({"context": ".", "dockerfile": "Dockerfile", "tags": ["app:latest-2"], "no-cache": false, "args": {"D": null, "NONE": ""}})
    );
    let given = [("TAG", "1"), ("DEBUG", "true"), ("N", "4"), ("NONE", "x")];
    assert_eq!(
        hcl(text, &[], &given)["default"],
        json!({"context": ".", "dockerfile": "Dockerfile", "tags": ["app:1-5"], "no-cache": true, "args": {"D": "1", "NONE": "x"}})
    );
}

#[test]
fn targets_inherit_and_groups_open() {
    let text = "group \"default\" { targets = [\"all\", \"c\"] }\ngroup \"all\" { targets = [\"a\", \"b\"] }\n\
        target \"_base\" {\n context = \"ctx\"\n args = { A = 1, B = 2 }\n tags = [\"base\"]\n cache-from = [\"x\"]\n platforms = [\"linux/amd64\"]\n}\n\
        target \"a\" {\n inherits = [\"_base\"]\n args = { B = 3 }\n tags = [\"a\"]\n}\n\
        target \"b\" {\n inherits = [\"a\", \"_base\"]\n cache-from = [\"y\", { type = \"registry\", ref = \"r/c\" }]\n}\n\
        target \"c\" { dockerfile-inline = \"FROM scratch\" }";
    let found = hcl(text, &[], &[]);
    assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(found["a"]["args"], json!({"A": "1", "B": "3"}));
    assert_eq!((&found["a"]["tags"], &found["b"]["tags"]), (&json!(["a"]), &json!(["base"])));
    assert_eq!(found["b"]["args"], json!({"A": "1", "B": "2"}));
    assert_eq!(found["b"]["cache-from"], json!(["x", "y", "type=registry,ref=r/c"]));
    assert_eq!(found["c"], json!({"context": ".", "dockerfile-inline": "FROM scratch"}));
}

#[test]
fn a_matrix_is_many_targets() {
    let text = "target \"app\" {\n name = \"app-${tgt}-${replace(v, \".\", \"_\")}\"\n matrix = { tgt = [\"x\", \"y\"], v = [\"1.0\", \"2.0\"] }\n \
        target = tgt\n args = { V = v }\n}\ntarget \"late\" { inherits = [\"app-x-1_0\"] }";
    let found = hcl(text, &["app", "late"], &[]);
    assert_eq!(
        found.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["app-x-1_0", "app-x-2_0", "app-y-1_0", "app-y-2_0", "late"]
    );
    assert_eq!((&found["app-y-2_0"]["target"], &found["late"]["args"]["V"]), (&json!("y"), &json!("1.0")));
}

#[test]
fn functions_of_the_file() {
    let text = "function \"tag\" {\n params = [name]\n variadic_params = more\n result = \"${PREFIX}${name}-${length(more)}\"\n}\n\
        PREFIX = \"r/\"\ntarget \"default\" { tags = [for x in [\"a\", \"b\"] : tag(x, 1, 2)] }";
    assert_eq!(hcl(text, &[], &[])["default"]["tags"], json!(["r/a-2", "r/b-2"]));
}

#[test]
fn overrides() {
    let text = "target \"a\" {\n tags = [\"x\"]\n args = { A = 1 }\n}\ntarget \"b\" { inherits = [\"a\"] }";
    let set = [
        "*.args.A=2",
        "a.tags=y",
        "a.tags=z",
        "b.tags+=w",
        "*.platform=linux/arm64",
        "a.no-cache=true",
        "b.output=type=local,dest=out",
    ];
    let found = baked(&[("f.hcl", text)], &["a", "b"], &set, &[]).unwrap();
    assert_eq!(
        found["a"],
        json!({"context": ".", "dockerfile": "Dockerfile", "args": {"A": "2"}, "tags": ["y", "z"], "platforms": ["linux/arm64"], "no-cache": true})
    );
    assert_eq!((&found["b"]["tags"], &found["b"]["output"]), (&json!(["x", "w"]), &json!(["type=local,dest=out"])));
}

#[test]
fn json_and_several_files() {
    let first = "{\"variable\": {\"TAG\": {\"default\": \"1\"}}, \"target\": {\"default\": {\"tags\": [\"app:${TAG}\"], \"args\": {\"A\": \"1\"}}}}";
    let second = "TAG = \"2\"\ntarget \"default\" {\n args = { B = 2 }\n context = \"sub\"\n}";
    let found = baked(&[("docker-bake.json", first), ("docker-bake.override.hcl", second)], &[], &[], &[]).unwrap();
    assert_eq!(
        found["default"],
        json!({"context": "sub", "dockerfile": "Dockerfile", "tags": ["app:2"], "args": {"A": "1", "B": "2"}})
    );
}

#[test]
fn compose_files() {
    let text = "services:\n  web.app:\n    image: web:${TAG:-dev}\n    build:\n      context: ./web\n      dockerfile: Dockerfile.web\n      args:\n        - A=1\n        - FROM_ENV\n      \
        secrets: [token]\n      ulimits:\n        nofile: {soft: 1, hard: 2}\n      extra_hosts: ['h:1.2.3.4']\n      x-bake:\n        platforms: [linux/amd64]\n        cache-from: ['$$x']\n  db:\n    image: postgres\n  api:\n    build: ./api\n\
        secrets:\n  token:\n    file: ./token.txt\n";
    let found = baked(&[("compose.yaml", text)], &[], &[], &[("TAG", "7")]).unwrap();
    assert_eq!(
        found,
        json!({
            "api": {"context": "./api", "dockerfile": "Dockerfile"},
            "web_app": {
                "context": "./web", "dockerfile": "Dockerfile.web", "args": {"A": "1", "FROM_ENV": null},
                "tags": ["web:7"], "secret": ["id=token,src=./token.txt"], "ulimits": ["nofile=1:2"],
                "extra-hosts": {"h": "1.2.3.4"}, "platforms": ["linux/amd64"], "cache-from": ["$x"],
            },
        })
    );
}

#[test]
fn yaml_that_grows_without_end_is_refused() {
    let mut text = String::from("x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let below = format!("*a{},", level - 1).repeat(10);
        text += &format!("x-{level}: &a{level} [{}]\n", below.trim_end_matches(','));
    }
    text += "services: {web: {build: ., image: x}}\n";
    let deep = format!("services: {}{}", "{a: ".repeat(50_000), "}".repeat(50_000));
    for text in [&text, &deep, "a: &a [*a]", "services: &s {a: *s}"] {
        let error = baked(&[("compose.yaml", text)], &[], &[], &[]).unwrap_err();
        assert!(format!("{error:#}").len() < 1000, "{} bytes of error", format!("{error:#}").len());
    }
}

#[test]
fn what_is_wrong() {
    for (text, names, set, told) in [
        ("target \"app\" {}", "ap", "", "there is no target or group `ap`"),
        ("target \"a\" { tagz = [] }", "a", "", "attribute `tagz`, which is unknown"),
        ("target \"a\" { tags = [NO] }", "a", "", "there is no variable `NO`"),
        ("target \"a\" { tags = [nope(1)] }", "a", "", "function `nope`: there is no such function"),
        ("A = B\nB = A\ntarget \"a\" { tags = [A] }", "a", "", "variables need one another"),
        (
            "target \"a\" { inherits = [\"b\"] }\ntarget \"b\" { inherits = [\"a\"] }",
            "a",
            "",
            "inherit from one another",
        ),
        ("group \"a\" { targets = [\"b\"] }\ngroup \"b\" { targets = [\"a\"] }", "a", "", "groups hold one another"),
        ("target \"a\" { matrix = { x = [1] } }", "a", "", "no `name` to tell"),
        ("target \"a\" { tags = [\"x\" }", "a", "", "f.hcl:1:26: expected `]`"),
        ("targte \"a\" {}", "a", "", "no blocks `targte`"),
        ("target \"a\" {}", "a", "nonsense", "is not TARGET.KEY=VALUE"),
        ("target \"a\" {}", "a", "b.tags=x", "there is no target or group `b`"),
        ("target \"a\" {}", "a", "a.tagz=x", "has no attribute `tagz`"),
        ("function \"f\" {\n params = [x]\n result = f(x)\n}\ntarget \"a\" { tags = [f(1)] }", "a", "", "calls deep"),
        (
            "variable \"V\" {\n default = \"x\"\n validation {\n condition = V == \"y\"\n error_message = \"only y\"\n }\n}\ntarget \"a\" { tags = [V] }",
            "a",
            "",
            "only y",
        ),
    ] {
        let set: Vec<&str> = if set.is_empty() { vec![] } else { vec![set] };
        let error = baked(&[("f.hcl", text)], &[names], &set, &[]).map(|value| panic!("{text}: {value}")).unwrap_err();
        assert!(format!("{error:#}").contains(told), "{text}: {error:#}");
    }
}
