//! The program `ponos`: one file per verb, each with its `Args` and its `run`.
//!
//! The verbs share `connection` (which broker), `trouble` (errors and exit codes), `output` (writing), `layout` (lines that
//! fit the terminal), `http` (serving HTTP), `traces` (where spans go), `config` (`ponos.toml`), `described` (a service), `contracts` (schemas) and
//! `span` (durations as people write them), `monitoring` (metrics and log of what goes on), `ask` (asking an observer). The program uses only the public items of `ponos`; it is a package of its own,
//! so that neither workers nor the clock pay for a command line.

mod ask;
mod asyncapi;
mod check;
mod completions;
mod config;
mod connection;
mod contracts;
mod control;
mod coverage;
mod dead;
mod declare;
mod described;
mod exit;
mod gateway;
mod http;
mod inbox;
mod json;
mod later;
mod layout;
mod monitoring;
mod observe;
mod output;
mod publish;
mod run;
mod said;
mod schema;
mod scraped;
mod sending;
mod serve;
mod source;
mod span;
mod streams;
mod tail;
mod token;
mod topology;
mod traces;
mod trouble;
mod waiting;
mod why;

use clap::Parser;
use std::process::ExitCode;

/// Watches and publishes events and tasks on RabbitMQ, manages dead letters, and runs any program as a worker.
#[derive(Debug, Parser)]
#[command(name = "ponos", version, arg_required_else_help = true, after_help = exit::TABLE)]
struct Cli {
    #[command(flatten)]
    connection: connection::Options,
    #[command(subcommand)]
    verb: Verb,
}

// each verb is documented at its arguments
#[derive(Debug, clap::Subcommand)]
enum Verb {
    Tail(tail::Args),
    Publish(publish::Args),
    /// Lists, shows, requeues or drops dead letters.
    #[command(subcommand)]
    Dead(dead::Verb),
    Pause(control::PauseArgs),
    Resume(control::ResumeArgs),
    Limit(control::LimitArgs),
    Cancel(control::CancelArgs),
    /// Lists the queues that are paused or limited by hand.
    #[command(subcommand)]
    Control(control::Verb),
    /// Lists, shows, hurries, moves or drops messages that wait to be sent or tried again.
    #[command(subcommand)]
    Waiting(waiting::Verb),
    Run(run::Args),
    Serve(serve::Args),
    Gateway(gateway::Args),
    /// Receives events from elsewhere and publishes them.
    #[command(subcommand)]
    Source(source::Verb),
    Observe(observe::Args),
    Why(why::Args),
    Coverage(coverage::Args),
    Token(token::Args),
    Check(check::Args),
    Declare(declare::Args),
    Topology(topology::Args),
    Asyncapi(asyncapi::Args),
    /// Compares schemas, and AsyncAPI documents.
    #[command(subcommand)]
    Schema(schema::Verb),
    Completions(completions::Args),
}

impl Verb {
    /// The message for a verb ended by Ctrl-C; `None` for verbs that handle it themselves.
    fn left_by_interrupt(&self) -> Option<&'static str> {
        match self {
            Self::Tail(_)
            | Self::Run(_)
            | Self::Serve(_)
            | Self::Gateway(_)
            | Self::Source(_)
            | Self::Observe(_)
            | Self::Dead(dead::Verb::Requeue(_)) => None,
            Self::Publish(_) => {
                Some("interrupted: if no id was printed, the message may not have been published")
            }
            Self::Dead(dead::Verb::Drop(_)) => {
                Some("interrupted: see ponos dead list for what was not dropped")
            }
            Self::Declare(_) => {
                Some("interrupted: a part of what the service needs may be declared; run it again")
            }
            Self::Pause(_) | Self::Resume(_) | Self::Limit(_) => {
                Some("interrupted: see ponos control list for whether it holds")
            }
            Self::Cancel(_) => Some("interrupted: it may be cancelled, in part; say it again"),
            Self::Waiting(waiting::Verb::Run(_) | waiting::Verb::Move(_) | waiting::Verb::Drop(_)) => {
                Some("interrupted: see ponos waiting list for what is as it was")
            }
            Self::Dead(_)
            | Self::Control(_)
            | Self::Waiting(_)
            | Self::Why(_)
            | Self::Coverage(_)
            | Self::Check(_)
            | Self::Topology(_)
            | Self::Asyncapi(_)
            | Self::Schema(_)
            | Self::Token(_)
            | Self::Completions(_) => Some("interrupted"),
        }
    }
}

fn main() -> ExitCode {
    ponos::redact::redact_panics();
    if let Err(why) = ponos::stack::provide() {
        output::complain(&format!("warning: {why}"));
    }
    let Cli { connection, verb } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return ponos::output::report_clap_error::<Cli>(&said),
    };
    if let Some(words) = verb.left_by_interrupt() {
        ponos::shutdown::exit_on_interrupt(move || output::complain(words));
    }
    trouble::finish(async {
        match verb {
            Verb::Tail(args) => tail::run(&connection, args).await,
            Verb::Publish(args) => publish::run(&connection, args).await,
            Verb::Dead(verb) => dead::run(&connection, verb).await,
            Verb::Pause(args) => control::pause(&connection, args).await,
            Verb::Resume(args) => control::resume(&connection, args).await,
            Verb::Limit(args) => control::limit(&connection, args).await,
            Verb::Cancel(args) => control::cancel(&connection, args).await,
            Verb::Control(verb) => control::run(&connection, verb).await,
            Verb::Waiting(verb) => waiting::run(&connection, verb).await,
            Verb::Run(args) => run::run(&connection, args).await,
            Verb::Serve(args) => serve::run(&connection, args).await,
            Verb::Gateway(args) => gateway::run(&connection, args).await,
            Verb::Source(verb) => source::run(&connection, verb).await,
            Verb::Observe(args) => observe::run(&connection, args).await,
            Verb::Why(args) => why::run(args).await,
            Verb::Coverage(args) => coverage::run(args).await,
            Verb::Token(args) => token::run(args),
            Verb::Check(args) => check::run(&args),
            Verb::Declare(args) => declare::run(&connection, args).await,
            Verb::Asyncapi(args) => asyncapi::run(&connection, args),
            Verb::Schema(verb) => schema::run(verb),
            Verb::Completions(args) => completions::run(args),
            Verb::Topology(args) => topology::run(&connection, args).await,
        }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
