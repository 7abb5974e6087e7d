//! A request can be followed: through its id and its trace.

use serde_json::Value;

use crate::backend::Backend;
use crate::proxy::{Proxy, SOON, USER, within};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn ids_and_traces_go_on_and_are_logged() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, "log: {format: json}\n");
    let parent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
    // The headers, the path, the status, and whether the id "one" is kept.
    let cases = [
        ("an id", "X-Request-Id: one\r\n", "/api/tags", 200, true),
        ("none", "", "/api/tags", 200, false),
        ("no id", "X-Request-Id: \"one\"\r\n", "/api/tags", 200, false),
        (
            "two",
            "X-Request-Id: one\r\nX-Request-Id: two\r\n",
            "/api/tags",
            200,
            false,
        ),
        ("refused", "X-Request-Id: one\r\n", "/api/nothing", 404, true),
    ];
    for (number, (name, id, path, status, kept)) in cases.into_iter().enumerate() {
        let answer = proxy.exchange(format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{parent}tracestate: a=b\r\n{id}\r\n"
        ));
        assert_eq!(answer.status, status, "{name}");
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == "one", kept, "{name}: {id}");
        let logged = || -> Option<Value> {
            let output = proxy.output();
            let lines = output
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["method"].is_string()).nth(number)
        };
        within(SOON, name, || logged().is_some());
        let line = logged().unwrap();
        assert_eq!(
            (line["requestId"].as_str(), line["traceId"].as_str()),
            (Some(id), Some(TRACE)),
            "{name}"
        );
        if status == 200 {
            let head = backend.heads().pop().unwrap();
            for header in [
                &format!("x-request-id: {id}\r\n"),
                parent.as_str(),
                "tracestate: a=b\r\n",
            ] {
                assert_eq!(head.matches(header).count(), 1, "{name}: {header} in {head}");
            }
        }
    }
}
