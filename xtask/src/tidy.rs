//! The rules of the house that no compiler checks. Each finding says where, what, and what to do instead.

mod code;
mod contract;
mod files;
mod papers;

use files::Files;

/// One broken rule: a place (`path` or `path:line`) and a sentence.
type Finding = (String, String);

pub fn run() -> Result<(), String> {
    let files = Files::read();
    let findings: Vec<Finding> =
        [code::check(&files), contract::check(&files), papers::check(&files)].into_iter().flatten().collect();
    if findings.is_empty() {
        println!("tidy: {} files keep the rules of the house", files.len());
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(|(place, what)| format!("{place}: {what}")).collect();
    Err(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_house_is_tidy() {
        super::run().unwrap();
    }
}
