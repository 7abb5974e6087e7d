//! Lines of the access log.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use super::Entry;
use super::json::{Object, member};
use crate::credentials::Means;
use crate::routes::RouteClass;
use crate::usage::Usage;

/// Times as text, to the millisecond. Most lines are of the same second as the one before: only digits change then.
#[derive(Debug, Default)]
pub(super) struct Times {
    second: Option<i64>,
    text: String,
}

impl Times {
    /// The text of a time (RFC 3339).
    pub(super) fn text(&mut self, time: Timestamp) -> &str {
        let second = time.as_second();
        if self.second == Some(second) {
            let thousandths = time.subsec_millisecond().unsigned_abs();
            let digits = [thousandths / 100, thousandths / 10 % 10, thousandths % 10];
            self.text.truncate(self.text.len() - "000Z".len());
            self.text
                .extend(digits.map(|digit| char::from_digit(digit, 10).unwrap_or('0')));
            self.text.push('Z');
        } else {
            self.text = format!("{time:.3}");
            self.second = Some(second);
        }
        &self.text
    }
}

/// To the microsecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// Adds the request's line. `time` is the entry's own.
pub(super) fn json(entry: &Entry, time: &str, lines: &mut Vec<u8>) {
    let Entry {
        time: _,
        client,
        means,
        address,
        method,
        route,
        class,
        status,
        outcome,
        received,
        sent,
        first_byte,
        duration,
        model,
        usage,
        request_id,
        trace_id,
        asked: _,
    } = entry;
    let mut line = Object::begin(lines);
    line.plain(member!("time"), time);
    line.value(member!("client"), &client.as_deref());
    line.word(member!("means"), means.map(Means::name));
    line.value(member!("address"), address);
    line.plain(member!("method"), method);
    line.word(member!("route"), *route);
    line.word(member!("class"), class.map(RouteClass::name));
    line.value(member!("status"), &status.map(|status| status.as_u16()));
    line.plain(member!("outcome"), outcome.name());
    line.plain_if_any(member!("reason"), outcome.reason());
    line.value(member!("bytesReceived"), received);
    line.value(member!("bytesSent"), sent);
    line.value(member!("firstByteSeconds"), &first_byte.map(seconds));
    line.value(member!("durationSeconds"), &seconds(*duration));
    line.value_if_any(member!("model"), model.as_deref().as_ref());
    if let Some(Usage {
        input,
        output,
        estimated,
    }) = usage
    {
        line.value(member!("inputTokens"), input);
        line.value(member!("outputTokens"), output);
        line.value(member!("tokensEstimated"), estimated);
    }
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    line.plain_if_any(member!("requestId"), request_id);
    line.plain_if_any(member!("traceId"), trace_id.as_deref());
    line.end();
}

/// Adds the request's line. `time` is the entry's own.
pub(super) fn text(entry: &Entry, time: &str, lines: &mut Vec<u8>) {
    let Entry {
        time: _,
        client,
        means,
        address,
        method,
        route,
        class,
        status,
        outcome,
        received,
        sent,
        first_byte,
        duration,
        model,
        usage,
        request_id,
        trace_id,
        asked: _,
    } = entry;
    let status = status.map_or_else(|| "-".to_owned(), |status| status.as_u16().to_string());
    let first_byte = first_byte.map_or_else(
        || "-".to_owned(),
        |first_byte| format!("{}s", seconds(first_byte)),
    );
    // A client's name may hold spaces or worse: quoted as a JSON string it stays one word on one line.
    let client = client
        .as_deref()
        .map_or_else(|| "-".to_owned(), |client| serde_json::json!(client).to_string());
    // Writing to memory can't fail.
    let _ = write!(
        lines,
        "{time} {status} {method} {route} client={client} means={means} address={address} class={class} \
         outcome={outcome}{reason} received={received} sent={sent} first_byte={first_byte} duration={duration}s",
        route = route.unwrap_or("-"),
        means = means.map_or("-", Means::name),
        class = class.map_or("-", RouteClass::name),
        outcome = outcome.name(),
        reason = outcome
            .reason()
            .map(|reason| format!(":{reason}"))
            .unwrap_or_default(),
        duration = seconds(*duration),
    );
    if let Some(model) = model {
        let _ = write!(lines, " model={model}");
    }
    if let Some(Usage {
        input,
        output,
        estimated,
    }) = usage
    {
        let mark = if *estimated { "~" } else { "" };
        let _ = write!(lines, " input_tokens={input} output_tokens={mark}{output}");
    }
    let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
    for (name, id) in [("request_id", request_id), ("trace_id", trace_id.as_deref())] {
        if let Some(id) = id {
            let _ = write!(lines, " {name}={id}");
        }
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests;
