//! The command line. The only place, with the demo, that talks to a terminal.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app::App;
use crate::base::{SystemClock, SystemRandom};
use crate::config::{self, Config, SystemEnvironment};
use crate::demo::{Demo, DemoOptions};
use crate::server::Shutdown;
use crate::telemetry;

mod signals;

/// An authentication gateway: signs people in at an OpenID provider, keeps their tokens to itself, and tells
/// applications who is calling by a short-lived signed token.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, arg_required_else_help = true, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Start here:
  vestibule demo                             see it work, without any file
  vestibule check vestibule.toml             what is wrong with a configuration, all at once
  vestibule serve --config vestibule.toml    run it

Secrets never stand in the configuration: it names files or environment variables.
RUST_LOG goes before telemetry.log, for example RUST_LOG=vestibule=debug.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    ///
    /// Prints a line for each listener and `ready` on standard output; logs go to standard error. SIGTERM finishes what is
    /// under way within limits.drain_time, a second one ends at once.
    Serve {
        /// The configuration file.
        #[arg(long, short, env = "VESTIBULE_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration file and say everything that is wrong with it.
    ///
    /// Reads the files and variables that it names, opens no socket. Exit code 0: `serve` would take it. 2: it would not.
    Check {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also print the configuration in effect, defaults included, secrets left out.
        #[arg(long)]
        print: bool,
    },
    /// Gateway, provider and sample application in one process: open a browser and sign in.
    ///
    /// No files, no Redis, no network beyond this machine. Nothing is kept when it ends.
    Demo {
        /// Where the gateway listens. Another port is picked when this one is taken.
        #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
        listen: std::net::SocketAddr,
    },
    /// Print documentation that is made from the code.
    Docs {
        /// Which.
        #[arg(value_enum)]
        what: Document,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Document {
    /// docs/configuration.md
    Configuration,
    /// config/schema.json
    Schema,
}

/// The configuration is wrong; telling it apart lets scripts decide.
const MISCONFIGURED: u8 = 2;

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One crypto library for everything; the first line that may need it comes after this.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return complain("a crypto provider is installed already");
    }
    match arguments.command {
        Command::Serve { config } => serve(&config),
        Command::Check { file, print } => check(&file, print),
        Command::Demo { listen } => in_runtime(demo(listen)),
        Command::Docs { what } => {
            let text = match what {
                Document::Configuration => config::reference(),
                Document::Schema => config::schema(),
            };
            say(&text);
            ExitCode::SUCCESS
        }
    }
}

fn check(file: &std::path::Path, print: bool) -> ExitCode {
    match Config::load(file, &SystemEnvironment) {
        Ok(config) => {
            for warning in &config.warnings {
                complain(&format!("warning: {warning}"));
            }
            if print {
                say(&config.redacted());
            } else {
                say(&format!("{} is fine.\n", file.display()));
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            complain(&problems.to_string());
            ExitCode::from(MISCONFIGURED)
        }
    }
}

fn serve(file: &std::path::Path) -> ExitCode {
    let config = match Config::load(file, &SystemEnvironment) {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems.to_string());
            return ExitCode::from(MISCONFIGURED);
        }
    };
    if let Err(error) = telemetry::log::start(&config.telemetry, std::env::var("RUST_LOG").ok().as_deref()) {
        return complain(&error.to_string());
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    in_runtime(run(config))
}

fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A task that will not end must not keep the process.
            runtime.shutdown_background();
            code
        }
        Err(error) => complain(&format!("the runtime did not start: {error}")),
    }
}

async fn run(config: Config) -> ExitCode {
    let app = match App::build(config, Arc::new(SystemClock), Arc::new(SystemRandom)).await {
        Ok(app) => app,
        Err(error) => return complain(&error.to_string()),
    };
    for address in app.addresses() {
        tracing::info!(address, "listening");
        say(&format!("listening on {address}\n"));
    }
    tracing::info!(address = app.admin_address(), "admin");
    say(&format!("admin on {}\nready\n", app.admin_address()));
    let shutdown = Shutdown::new();
    signals::watch(shutdown.clone());
    app.run(shutdown).await;
    ExitCode::SUCCESS
}

async fn demo(listen: std::net::SocketAddr) -> ExitCode {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let demo = match Demo::start(DemoOptions { listen, ..DemoOptions::default() }, clock.clone(), random.clone()).await
    {
        Ok(demo) => demo,
        Err(error) => return complain(&error.to_string()),
    };
    let config = match Config::parse(&demo.config_toml(), std::path::Path::new("demo.toml"), &demo.environment()) {
        Ok(config) => config,
        Err(problems) => return complain(&problems.to_string()),
    };
    if let Err(error) = telemetry::log::start(&config.telemetry, std::env::var("RUST_LOG").ok().as_deref()) {
        return complain(&error.to_string());
    }
    let app = match App::build(config, clock, random).await {
        Ok(app) => app,
        Err(error) => return complain(&error.to_string()),
    };
    say(&demo.welcome());
    let shutdown = Shutdown::new();
    signals::watch(shutdown.clone());
    tokio::join!(app.run(shutdown.clone()), demo.run(shutdown.drain.cancelled()));
    ExitCode::SUCCESS
}

#[allow(clippy::print_stdout, reason = "what the command was asked for goes to standard output")]
fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more; that is no reason to stop.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    ExitCode::FAILURE
}
