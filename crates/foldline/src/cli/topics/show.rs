//! Topics in words, for people.

use super::description::{Described, Description, Found};

/// How wide a line of positions gets.
const WIDTH: usize = 96;

/// What every record of a context's topic has in common.
const RECORDS: &str = "\
Every record is one event: a CloudEvents 1.0 JSON object, whole in the value.
  key        the user's id as text; partition = murmur2(key) modulo the partitions, as in Java
  headers    content-type, ce_type, ce_id, and traceparent where there is one
  sequence   gapless from 1 in each partition; offsets have gaps and are no positions
  reading    isolation.level=read_committed; nothing ever expires";

pub(super) fn print(description: &Description) {
    let Description { name, prefix, .. } = description;
    say!("The events of {name} on Kafka, in topics whose names begin with `{prefix}`.");
    say!("{RECORDS}");
    say!("The whole as AsyncAPI: {name} schema --asyncapi");
    print_log(description);
    for topic in &description.topics {
        say!("\n{}", line(topic));
        for stored in &topic.types {
            let old = if stored.current { "" } else { " (older shape)" };
            say!("  {:<28} {}{old}", stored.name, stored.schema,);
        }
        print_found(topic.found.as_ref());
    }
    if !description.own_topics.is_empty() {
        say!("\nThe log's own, not for reading:");
    }
    for topic in &description.own_topics {
        say!("{}", line(topic));
        let trouble = topic
            .found
            .as_ref()
            .and_then(|found| found.trouble.as_ref());
        if let Some(trouble) = trouble {
            say!("  WRONG: {trouble}");
        }
    }
    for sample in &description.samples {
        say!("\n{}:\n", sample.client);
        for line in sample.text.lines() {
            say!("{}", format!("  {line}").trim_end());
        }
    }
}

fn print_log(description: &Description) {
    let (brokers, prefix) = (&description.brokers, &description.prefix);
    let Some(log) = &description.log else {
        return;
    };
    match &log.id {
        Some(id) => say!("\nOn {brokers}: log {id}"),
        None => say!(
            "\nOn {brokers}: there is no log `{prefix}` yet; the first node that opens it makes it"
        ),
    }
    for trouble in &log.troubles {
        say!("WRONG: {trouble}");
    }
}

fn line(topic: &Described) -> String {
    let plural = if topic.partitions == 1 { "" } else { "s" };
    let configuration = topic.configuration.iter().filter_map(|(name, value)| {
        let says_how_long = name == "cleanup.policy" || name.starts_with("retention.");
        let value = value.as_str().filter(|_| says_how_long)?;
        Some(format!("{name}={value}"))
    });
    format!(
        "{:<30} {} partition{plural}  {}",
        topic.name,
        topic.partitions,
        configuration.collect::<Vec<_>>().join(" ")
    )
}

fn print_found(found: Option<&Found>) {
    let Some(found) = found else { return };
    match (&found.trouble, found.events) {
        (Some(trouble), _) => say!("  WRONG: {trouble}"),
        (None, Some(1)) => say!("  as it should be, 1 event, up to"),
        (None, Some(0)) => say!("  as it should be, no events yet"),
        (None, Some(events)) => say!("  as it should be, {events} events, up to"),
        (None, None) => say!("  as it should be"),
    }
    let mut line = String::new();
    for end in &found.ends {
        let end = end.to_string();
        if line.len() + end.len() > WIDTH {
            say!("   {line}");
            line.clear();
        }
        line.push(' ');
        line.push_str(&end);
    }
    if !line.is_empty() {
        say!("   {line}");
    }
}
