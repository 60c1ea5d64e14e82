//! Broken configurations and what is said about them.

use super::{PROVIDER, ROUTE, SESSION, UPSTREAM, parse};

/// One case of `broken.txt`: a name, a configuration, and what is said.
struct Case<'a> {
    name: &'a str,
    text: &'a str,
    said: &'a str,
}

fn cases(corpus: &str) -> Vec<Case<'_>> {
    let cases = corpus.split("\n### ").skip(1).map(|case| {
        let (name, rest) = case.split_once('\n').unwrap_or((case, ""));
        let (text, said) = rest.split_once("\n---\n").unwrap_or((rest, ""));
        Case { name, text, said: said.trim_end() }
    });
    cases.collect()
}

/// The configuration of a case; a last line such as `%session %route` stands for sections in which nothing is wrong.
fn expand(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        if line.starts_with('%') {
            for word in line.split_whitespace() {
                whole += match word {
                    "%public" => "public_url = \"https://app.example.com\"\n",
                    "%session" => SESSION,
                    "%provider" => PROVIDER,
                    "%upstream" => UPSTREAM,
                    "%route" => ROUTE,
                    other => panic!("{other} is no section"),
                };
            }
        } else {
            whole = whole + line + "\n";
        }
    }
    whole
}

/// OPS-05, LOGIN-18, TLS-09, CLI-01, TOK-05 (the largest skew): what is invalid or contradictory is refused, in these words.
#[test]
fn every_mistake_is_named_with_its_place_and_its_remedy() {
    let cases = cases(include_str!("broken.txt"));
    let mut now = include_str!("broken.txt").split("\n### ").next().unwrap_or_default().trim_end().to_owned() + "\n";
    let mut wrong = Vec::new();
    for case in &cases {
        let said = match parse(&expand(case.text)) {
            Ok(_) => "accepted".to_owned(),
            Err(problems) => problems.to_string(),
        };
        assert!(!said.contains("canary"), "{}: a secret is repeated:\n{said}", case.name);
        if said != case.said {
            wrong.push(format!("### {}\n{said}\n--- instead of\n{}", case.name, case.said));
        }
        now += &format!("\n### {}\n{}\n---\n{said}\n", case.name, case.text);
    }
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/broken.txt");
        std::fs::write(path, now).unwrap();
    }
    assert!(cases.len() > 50);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
