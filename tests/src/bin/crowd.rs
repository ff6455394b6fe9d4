//! Many Rust members in one process, for tests that drive them from outside: reads one JSON order a line and answers
//! each with one line. Ends with its input.

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use bench::crowd::Crowd;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Order {
    Enter {
        address: String,
        names: Vec<String>,
    },
    /// `null`: be silent.
    Talk(Option<u64>),
    Pin(String),
    /// What everybody said and heard.
    Report {},
    /// How long deliveries took that were on their way between these, in µs since 1970.
    Delays {
        since: u64,
        until: u64,
    },
    RecountLinks {},
    /// So many, the last who entered.
    Leave(usize),
}

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let mut crowd = Crowd::default();
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let answer = runtime.block_on(obey(&mut crowd, order));
        let mut out = io::stdout().lock();
        writeln!(out, "{}", answer.unwrap_or_else(|error| json!({ "error": error.to_string() })))?;
        out.flush()?;
    }
    Ok(())
}

async fn obey(crowd: &mut Crowd, order: Order) -> anyhow::Result<Value> {
    match order {
        Order::Enter { address, names } => crowd.enter(&address, names).await?,
        Order::Talk(every_ms) => crowd.talk(every_ms.map(Duration::from_millis)),
        Order::Pin(topology) => crowd.pin(&topology).await?,
        Order::Report {} => return Ok(json!({ "report": crowd.report() })),
        Order::Delays { since, until } => return Ok(json!({ "delays": crowd.delays(since, until) })),
        Order::RecountLinks {} => crowd.recount_links(),
        Order::Leave(count) => return Ok(json!({ "report": crowd.leave(count).await })),
    }
    Ok(json!({ "done": {} }))
}
