use super::*;
use crate::account::Outcome;
use http::{HeaderValue, StatusCode};

fn entry() -> Entry {
    Entry {
        time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        client: Some("alice\n\"x".into()),
        means: Some(Means::Basic),
        address: "192.0.2.1".parse().unwrap(),
        method: "POST",
        route: Some("/api/chat"),
        class: Some(RouteClass::Inference),
        status: Some(StatusCode::OK),
        outcome: Outcome::Complete,
        received: 12,
        sent: 345,
        first_byte: Some(Duration::from_micros(1500)),
        duration: Duration::from_millis(2500),
        model: None,
        usage: None,
        request_id: None,
        trace_id: None,
        asked: Vec::new(),
    }
}

type Format = fn(&Entry, &str, &mut Vec<u8>);

#[test]
fn an_entry_is_one_line() {
    let unknown = Entry {
        client: None,
        means: None,
        route: None,
        class: None,
        status: None,
        outcome: Outcome::Refused("credential"),
        first_byte: None,
        ..entry()
    };
    let counted = Entry {
        model: Some("gemma3:270m".into()),
        usage: Some(Usage {
            input: 10,
            output: 20,
            estimated: true,
        }),
        request_id: Some(HeaderValue::from_static("one")),
        trace_id: Some("4bf9".into()),
        ..entry()
    };
    let cases: &[(&str, Format, Entry, &str)] = &[
        (
            "JSON",
            json,
            entry(),
            r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5}"#,
        ),
        (
            "text",
            text,
            entry(),
            r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s"#,
        ),
        (
            "tokens in JSON",
            json,
            counted.clone(),
            r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5,"model":"gemma3:270m","inputTokens":10,"outputTokens":20,"tokensEstimated":true,"requestId":"one","traceId":"4bf9"}"#,
        ),
        (
            "tokens in text",
            text,
            counted,
            r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s model=gemma3:270m input_tokens=10 output_tokens=~20 request_id=one trace_id=4bf9"#,
        ),
        (
            "an unknown client in text",
            text,
            unknown,
            "2026-01-02T03:04:05.678Z - POST - client=- means=- address=192.0.2.1 class=- outcome=refused:credential received=12 sent=345 first_byte=- duration=2.5s",
        ),
    ];
    for (name, format, entry, expected) in cases {
        let mut lines = Vec::new();
        format(entry, &format!("{:.3}", entry.time), &mut lines);
        let lines = String::from_utf8(lines).unwrap();
        assert_eq!(lines.strip_suffix('\n'), Some(*expected), "{name}");
    }
}

#[test]
fn a_time_is_one_text_whatever_came_before() {
    let mut times = Times::default();
    for text in [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.999Z",
        "2026-01-02T03:04:06.000Z",
        "2026-01-02T03:04:06.070Z",
        "2026-01-02T03:04:05.001Z",
        "2027-12-31T23:59:59.900Z",
    ] {
        assert_eq!(times.text(text.parse().unwrap()), text);
    }
}
