//! What the demo prints: what to open, whom to sign in as, what to try.
//!
//! Never longer than a screen.

use std::io::IsTerminal as _;

use super::places::Front;
use super::provider::people::PEOPLE;
use crate::base::Secret;

/// What there is to say.
#[derive(Debug)]
pub struct Welcome {
    /// Where the gateway listens.
    pub front: Front,
    /// The application, around the gateway.
    pub application: String,
    /// For the operator's part. It opens this process' admin API on loopback, and dies with it.
    pub admin_token: Secret<String>,
}

impl Welcome {
    /// The text.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        let paint = Paint { colour };
        let public = self.front.public_url();
        let mut lines = vec![String::new(), format!("  {}", paint.bold("The Vestibule demo is ready.")), String::new()];
        if let Some(taken) = self.front.taken {
            let instead = self.front.listen.port();
            lines.push(format!("  {}", paint.warn(&format!("Port {taken} is taken; using {instead} instead."))));
            lines.push(String::new());
        }
        lines.push(format!("  Open       {}", paint.link(&format!("{public}/"))));
        for (index, person) in PEOPLE.iter().enumerate() {
            let label = if index == 0 { "Sign in as" } else { "or" };
            let groups = paint.faint(&person.groups.join(", "));
            let (email, password) =
                (paint.bold(&format!("{:<19}", person.email)), paint.bold(&format!("{:<12}", person.password)));
            lines.push(format!("  {label:<10} {email} password {password} {groups}"));
        }
        lines.push(String::new());
        lines.push(format!("  {}", paint.bold("Try")));
        let admin = format!("http://{}", self.front.admin);
        let tries = [
            ("Two tabs: end the session in one and watch the other.", vec![]),
            ("A script gets an honest answer instead of a login page:", vec![format!("curl -i {public}/api/whoami")]),
            (
                "A forged identity does not get in:",
                vec![format!("curl -H 'X-Vestibule-Identity: i.am.grace' {public}/public")],
            ),
            ("The application alone believes nobody:", vec![format!("curl -i {}/api/whoami", self.application)]),
            (
                "As the operator, end every session now:",
                vec![
                    format!("curl -X POST {admin}/api/revocations -d '{{\"all\":true}}' \\"),
                    "  -H 'Content-Type: application/json' \\".to_owned(),
                    format!("  -H 'Authorization: Bearer {}'", self.admin_token.expose()),
                ],
            ),
        ];
        for (number, (what, commands)) in tries.iter().enumerate() {
            lines.push(format!("  {}  {what}", paint.faint(&(number + 1).to_string())));
            lines.extend(commands.iter().map(|command| format!("       {}", paint.code(command))));
        }
        lines.push(String::new());
        lines.push(format!(
            "  {}",
            paint.faint("No files, no Redis, no network: all of it lives in this process. Ctrl-C ends it.")
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Whether what goes to standard output may be coloured (<https://no-color.org>).
#[must_use]
pub fn stdout_has_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.with("2", text)
    }

    fn link(&self, text: &str) -> String {
        self.with("1;4;32", text)
    }

    fn code(&self, text: &str) -> String {
        self.with("36", text)
    }

    fn warn(&self, text: &str) -> String {
        self.with("33", text)
    }
}
