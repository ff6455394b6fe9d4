//! `roomful password`

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use server::{limits::PASSWORD_BYTES, password::Hash};

use crate::failure::Failure;

/// Make the hash of a password, for a user in the configuration.
///
/// Asks for the password twice without showing it, or takes one line from standard input. Prints its argon2id hash and
/// nothing else: what stands as `password` of a user in [deepstream.users].
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful password
  openssl rand -base64 24 | tee ada.txt | roomful password")]
pub struct Password {}

impl Password {
    pub fn run(self) -> Result<(), Failure> {
        let password = if io::stdin().is_terminal() { ask()? } else { read(io::stdin().lock())? };
        let hash = Hash::of(&password).map_err(Failure::usage)?;
        writeln!(io::stdout(), "{hash}")
            .map_err(|error| Failure::failed(format!("the hash cannot be written: {error}")))
    }
}

/// Asks at the terminal.
fn ask() -> Result<String, Failure> {
    let prompt = |text| rpassword::prompt_password(text).map_err(|error| unreadable(&error));
    let password = prompt("Password: ")?;
    if prompt("The same again: ")? != password {
        return Err(Failure::usage("these were two different passwords").hint("type the same one twice"));
    }
    Ok(password)
}

/// Reads a line, and no more than could be a password.
fn read(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    // Beyond the bound by its end (\r\n) and by one that shows that it is too long.
    input.take(PASSWORD_BYTES as u64 + 3).read_line(&mut line).map_err(|error| unreadable(&error))?;
    let password = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(password.to_owned())
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::failed(format!("the password cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read() {
        for (input, password) in
            [("a b\n", "a b"), ("a\r\n", "a"), ("a", "a"), (" a \nb\n", " a "), ("", ""), ("\n", ""), ("a\r", "a\r")]
        {
            assert_eq!(read(input.as_bytes()).unwrap(), password);
        }
        assert!(read(&b"\xff\n"[..]).is_err());
        let longest = "x".repeat(PASSWORD_BYTES);
        assert!(Hash::of(&read(format!("{longest}\r\n").as_bytes()).unwrap()).is_ok());
        assert!(Hash::of(&read(format!("{longest}x\n").as_bytes()).unwrap()).is_err());
    }
}
