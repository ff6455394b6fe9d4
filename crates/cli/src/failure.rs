//! How a command fails: one sentence, a hint, an exit code.

use std::{fmt, process::ExitCode};

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// It was asked for something that cannot be: exit code 2, as for arguments that do not parse.
    pub fn usage(message: impl fmt::Display) -> Failure {
        Failure { code: 2, message: message.to_string(), hint: None }
    }

    /// It was tried and did not work: exit code 1.
    pub fn failed(message: impl fmt::Display) -> Failure {
        Failure { code: 1, message: message.to_string(), hint: None }
    }

    /// What to do about it.
    pub fn hint(self, hint: impl fmt::Display) -> Failure {
        Failure { hint: Some(hint.to_string()), ..self }
    }

    /// Tells the user.
    pub fn report(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if let Some(hint) = self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}
