//! What the command line says.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::support::codec::random_name;
use crate::support::{ConfigBuilder, Gateway};

fn run(arguments: &[&str]) -> Output {
    Gateway::command().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(dir: &Path, name: &str, content: &str, mode: u32) -> String {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// The help names every command and where to begin; what is made from the code is what lies in the tree.
#[test]
fn commands_explain_themselves() {
    let help = run(&["--help"]);
    let said = text(&help.stdout);
    assert!(help.status.success());
    for word in ["serve", "check", "demo", "docs", "vestibule check vestibule.toml"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!run(&[]).status.success() && !run(&["unknown"]).status.success());
    assert!(text(&run(&["--version"]).stdout).starts_with("vestibule "));
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (what, file) in [("configuration", "docs/configuration.md"), ("schema", "config/schema.json")] {
        let made = run(&["docs", what]);
        assert!(made.status.success());
        assert_eq!(text(&made.stdout), std::fs::read_to_string(tree.join(file)).unwrap(), "{file}");
    }
}

/// OPS-02: `check` says what is in force without a secret, and warns of one that everybody may read; `serve` warns too.
#[tokio::test]
async fn secrets_are_not_shown() {
    let dir = TempDir::new().unwrap();
    let secrets: Vec<String> =
        ["server-secret-", "client-secret-", "admin-token-"].map(|name| random_name(&format!("canary-{name}"))).into();
    let server = write(dir.path(), "server", &secrets[0], 0o600);
    let client = write(dir.path(), "client", &secrets[1], 0o644);
    let token = write(dir.path(), "token", &secrets[2], 0o600);
    let config = format!(
        "public_url = \"http://127.0.0.1:8080\"
        listeners = [{{ address = \"127.0.0.1:0\" }}]
        admin = {{ address = \"127.0.0.1:0\", token = {{ file = \"{token}\" }} }}
        session = {{ store = {{ env = \"TEST_STORE\" }}, secrets = [{{ file = \"{server}\" }}] }}
        providers.corp = {{ issuer = \"http://127.0.0.1:9\", client_id = \"me\", client_secret = {{ file = \"{client}\" }} }}
        upstreams.app.url = \"http://127.0.0.1:9\"
        routes = [{{ upstream = \"app\" }}]"
    );
    let file = write(dir.path(), "vestibule.toml", &config, 0o644);
    let store = "redis://user:canary-store-password@127.0.0.1:6379/0";
    let checked = Gateway::command().args(["check", "--print", &file]).env("TEST_STORE", store).output().unwrap();
    let (out, err) = (text(&checked.stdout), text(&checked.stderr));
    assert!(checked.status.success(), "{err}");
    assert!(out.contains("[secret]") && out.contains("lifetime = \"12h\""), "{out}");
    assert!(!out.contains("canary") && !err.contains("canary"), "{out}{err}");
    assert!(err.contains("warning") && err.contains("client") && err.contains("client_secret"), "{err}");
    assert!(!err.contains("session.secrets"), "only what everybody may read: {err}");
    out.parse::<toml::Table>().unwrap();

    let memory = config.replace("{ env = \"TEST_STORE\" }", "\"memory\"");
    let gateway = Gateway::start(memory).await;
    assert!(gateway.logs().contains("client_secret"), "{}", gateway.logs());
    crate::support::gateway::assert_holds_none("the output", gateway.output().as_bytes(), &secrets);
    let why = Gateway::command().args(["check", &file]).output().unwrap();
    assert_eq!(why.status.code(), Some(2), "the variable is not set");
    assert!(text(&why.stderr).contains("TEST_STORE"));
}

/// OPS-05: everything that is wrong is named at once, with file and line, and nothing is started; insecure switches have names
/// and are told.
#[test]
fn mistakes_are_named_all_at_once() {
    let dir = TempDir::new().unwrap();
    let file = write(
        dir.path(),
        "vestibule.toml",
        "public_url = \"http://app.example.com\"
listners = []
[session]
store = \"redis://redis.example.com\"
idle = \"1x\"
[upstreams.app]
url = \"ftp://app\"
[[routes]]
upstream = \"other\"
acess = \"public\"
",
        0o644,
    );
    for command in [&["check", &*file][..], &["serve", "--config", &file]] {
        let output = run(command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(output.stdout.is_empty(), "nothing is ready");
        for (line, word) in [
            (1, "public_url"),
            (2, "listners"),
            (4, "session.store"),
            (5, "session.idle"),
            (7, "upstreams.app.url"),
            (9, "routes[0].upstream"),
            (10, "acess"),
        ] {
            let place = format!("vestibule.toml:{line}:");
            let named = said.lines().any(|found| found.contains(&place) && found.contains(word));
            assert!(named, "{place} {word}\n{said}");
        }
        assert!(said.contains("listeners") && said.contains("access"), "what was meant is suggested: {said}");
    }
    for (what, content) in [("no TOML", "public_url = "), ("empty", ""), ("binary", "\u{0}\u{1}")] {
        let file = write(dir.path(), "broken.toml", content, 0o644);
        let output = run(&["check", &file]);
        assert_eq!(output.status.code(), Some(2), "{what}");
        assert!(text(&output.stderr).contains("broken.toml"), "{what}: {}", text(&output.stderr));
    }
    assert_ne!(run(&["check", "/nonexistent/vestibule.toml"]).status.code(), Some(0));

    let insecure = ConfigBuilder::new().upstream("app", "http://127.0.0.1:9").with(
        "public_url = \"http://app.example.com\"\nroutes = [{ upstream = \"app\", access = \"public\" }]\n[session]\nsecrets = []",
    );
    let text_of = insecure
        .text()
        .replace("@PORT@", "0")
        .replace("admin-token", "t")
        .replace("@DIR@", &dir.path().display().to_string());
    write(dir.path(), "t", "canary-admin-token-long-enough", 0o600);
    let file = write(dir.path(), "insecure.toml", &text_of, 0o644);
    assert_eq!(run(&["check", &file]).status.code(), Some(2), "plain http beyond loopback has to be asked for");
    let file = write(dir.path(), "insecure.toml", &format!("development = true\n{text_of}"), 0o644);
    let output = run(&["check", &file]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("development"), "{}", text(&output.stderr));
}
