//! nginx as the guides set it up before Ollama, with connections to Ollama kept open.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Clients, Front, KEY, PASSWORD, Place, USER, free_address};
use crate::machine::output_of;

/// Debian keeps its modules there.
const LUA_MODULES: [&str; 2] = ["ndk_http_module.so", "ngx_http_lua_module.so"];

/// Without authentication and without a log.
pub(crate) fn open(place: &Place<'_>) -> Result<Front> {
    start(place, "open", "no authentication", "", &Clients::Anybody)
}

/// Basic authentication with what `htpasswd` wrote by default for decades.
pub(crate) fn apr1(place: &Place<'_>) -> Result<Front> {
    with_password(place, "apr1", "apr1", &["-m"])
}

/// Basic authentication with bcrypt at cost 10.
pub(crate) fn bcrypt(place: &Place<'_>) -> Result<Front> {
    with_password(place, "bcrypt", "bcrypt cost 10", &["-B", "-C", "10"])
}

/// Keys in a file that Lua reads at every request, as in OpenResty guides.
pub(crate) fn lua(place: &Place<'_>) -> Result<Front> {
    let keys = place.folder.join("lua-keys");
    fs::write(&keys, format!("{KEY}\n"))?;
    let check = format!(
        "access_by_lua_block {{
        local sent = ngx.var.http_authorization or ''
        for line in io.lines('{}') do
          if sent == 'Bearer ' .. line then return end
        end
        return ngx.exit(401)
      }}",
        keys.display()
    );
    start(place, "lua", "key file read by Lua", &check, &Clients::WithKey)
}

fn with_password(place: &Place<'_>, name: &str, what: &str, kind: &[&str]) -> Result<Front> {
    let users = place.folder.join(format!("nginx-{name}-users"));
    let mut arguments = vec!["-n", "-b"];
    arguments.extend(kind);
    arguments.extend([USER, PASSWORD]);
    fs::write(&users, output_of("htpasswd", &arguments)?)?;
    let check = format!("auth_basic ollama; auth_basic_user_file {};", users.display());
    start(place, name, what, &check, &Clients::WithPassword)
}

fn start(place: &Place<'_>, name: &str, what: &str, check: &str, clients: &Clients) -> Result<Front> {
    let address = free_address()?;
    let folder = place.folder.join(format!("nginx-{name}"));
    fs::create_dir_all(&folder)?;
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(&folder, place.backend, address, check)?)?;
    let mut command = place.command("nginx");
    command
        .arg("-p")
        .arg(&folder)
        .args(["-e", "stderr", "-c"])
        .arg(file);
    Front::start(format!("{}, {what}", version()?), command, address, clients)
}

fn configuration(folder: &Path, backend: SocketAddr, address: SocketAddr, check: &str) -> Result<String> {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    Ok(format!(
        "{modules}daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
events {{ worker_connections 12000; }}
http {{
{temporary}  access_log off;
  keepalive_requests 1000000000;
  upstream ollama {{ server {backend}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    location / {{
      {check}
      proxy_pass http://ollama;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host localhost:11434;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 300s;
      proxy_buffering off;
    }}
  }}
}}
",
        modules = modules(check)?,
        folder = folder.display()
    ))
}

/// Only the front that uses Lua has it loaded.
fn modules(check: &str) -> Result<String> {
    if !check.contains("lua") {
        return Ok(String::new());
    }
    let folder = Path::new("/usr/lib/nginx/modules");
    LUA_MODULES
        .iter()
        .map(|module| {
            let path = folder.join(module);
            fs::metadata(&path).with_context(|| format!("{} is missing", path.display()))?;
            Ok(format!("load_module {};\n", path.display()))
        })
        .collect()
}

/// As in `nginx 1.22.1`.
fn version() -> Result<String> {
    let text = output_of("nginx", &["-v"])?;
    Ok(text
        .trim()
        .trim_start_matches("nginx version: ")
        .replace('/', " "))
}
