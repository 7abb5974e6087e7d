//! The client libraries that people use, as they are.

use anyhow::{Result, ensure};
use corral_tests::{command, python, registry};

use crate::fixture::{Fixture, KEY, SERVICE, USERS};

const OLLAMA: &str = r#"
import os, ollama
def talk(client):
    parts = [part.message.content for part in client.chat(
        model=os.environ["MODEL"], messages=[{"role": "user", "content": "Say hello."}],
        stream=True, options={"num_predict": 8, "seed": 1})]
    assert len(parts) > 1, parts
    assert any(model.model == os.environ["MODEL"] for model in client.list().models)
key = ollama.Client(host=os.environ["URL"], headers={"Authorization": "Bearer " + os.environ["KEY"]})
talk(key)
from base64 import b64encode
basic = b64encode(os.environ["USER_AND_PASSWORD"].encode()).decode()
talk(ollama.Client(host=os.environ["URL"], headers={"Authorization": "Basic " + basic}))
try:
    ollama.Client(host=os.environ["URL"]).list()
except ollama.ResponseError as error:
    assert error.status_code == 401, error
else:
    raise SystemExit("let in without a credential")
try:
    key.delete(os.environ["MODEL"])
except ollama.ResponseError as error:
    assert error.status_code == 403, error
else:
    raise SystemExit("deleted a model")
"#;

const OPENAI: &str = r#"
import os, openai
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1", api_key=os.environ["KEY"], max_retries=0)
question = {"model": os.environ["MODEL"], "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
chunks = list(client.chat.completions.create(stream=True, **question))
assert len(chunks) > 1, chunks
assert client.chat.completions.create(**question).usage.completion_tokens > 0
assert any(model.id == os.environ["MODEL"] for model in client.models.list())
try:
    openai.OpenAI(base_url=os.environ["URL"] + "/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError as error:
    assert error.status_code == 401, error
else:
    raise SystemExit("let in with a wrong key")
"#;

pub(crate) async fn python_libraries_work_with_their_usual_setting(fixture: &Fixture) -> Result<()> {
    let interpreter = tokio::task::spawn_blocking(python::interpreter).await??;
    let url = fixture.url(SERVICE)?;
    let (user, password) = USERS[0];
    for (library, script) in [("ollama", OLLAMA), ("openai", OPENAI)] {
        let mut python = fixture.node()?.command(&interpreter.display().to_string());
        python
            .args(["-c", script])
            .env("URL", &url)
            .env("KEY", KEY)
            .env("MODEL", registry::MODEL)
            .env("USER_AND_PASSWORD", format!("{user}:{password}"));
        let outcome = command::output(&mut python);
        ensure!(outcome.is_ok(), "{library}: {outcome:?}");
    }
    Ok(())
}
