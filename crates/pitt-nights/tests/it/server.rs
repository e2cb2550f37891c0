//! A web server that lists a folder as Apache does, and misbehaves on request.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How the server behaves.
#[derive(Clone, Debug)]
pub(crate) struct Manners {
    /// Answers `Range` with a part; otherwise with the whole.
    pub(crate) ranges: bool,
    /// Closes each connection after so many bytes of a tarball.
    pub(crate) cut_after: Option<usize>,
    /// Falls silent after so many bytes of a tarball, once.
    pub(crate) silent_after: Option<usize>,
    /// Milliseconds between chunks of 4 kB.
    pub(crate) slow_ms: u64,
    /// Answers 503 so many times first.
    pub(crate) busy: u64,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            ranges: true,
            cut_after: None,
            silent_after: None,
            slow_ms: 0,
            busy: 0,
        }
    }
}

/// Names and contents.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) manners: Arc<Mutex<Manners>>,
    /// Name and bytes; `MD5SUMS` among them.
    pub(crate) files: Arc<Mutex<Files>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(files: Files, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}/alerts/public", listener.local_addr().unwrap()),
            requests: Arc::default(),
            manners: Arc::new(Mutex::new(manners)),
            files: Arc::new(Mutex::new(files)),
            ended: Arc::default(),
        };
        let (requests, manners) = (server.requests.clone(), server.manners.clone());
        let (files, ended) = (server.files.clone(), server.ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let number = requests.fetch_add(1, Ordering::SeqCst);
                let (manners, files) = (manners.clone(), files.lock().unwrap().clone());
                std::thread::spawn(move || {
                    let _ = answer(&stream.unwrap(), number, &manners, &files);
                });
            }
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let address = self.url.trim_start_matches("http://");
        let _ = TcpStream::connect(address.split('/').next().unwrap());
    }
}

fn answer(
    stream: &TcpStream,
    number: u64,
    manners: &Mutex<Manners>,
    files: &[(String, Vec<u8>)],
) -> std::io::Result<()> {
    let now = manners.lock().unwrap().clone();
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().unwrap()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut from = 0;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let mut out = stream;
    let close = "Connection: close\r\n";
    if number < now.busy {
        return write!(out, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n{close}\r\n");
    }
    let name = path.strip_prefix("/alerts/public/").unwrap_or("?");
    let page = index(files);
    let file = files.iter().find(|(known, _)| known == name);
    let body: &[u8] = match (name, file) {
        ("", _) => page.as_bytes(),
        (_, Some((_, bytes))) => bytes,
        _ => return write!(out, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n{close}\r\n"),
    };
    let etag = format!("ETag: \"{:x}\"\r\n", body.len());
    if !now.ranges {
        from = 0;
    }
    if from > 0 && from >= body.len() {
        let whole = body.len();
        return write!(
            out,
            "HTTP/1.1 416 No\r\nContent-Range: bytes */{whole}\r\nContent-Length: 0\r\n{close}\r\n"
        );
    }
    let (whole, part) = (body.len(), &body[from..]);
    let status = match from {
        0 => "200 OK\r\n".to_owned(),
        _ => format!(
            "206 Part\r\nContent-Range: bytes {from}-{}/{whole}\r\n",
            whole - 1
        ),
    };
    write!(
        out,
        "HTTP/1.1 {status}{etag}Content-Length: {}\r\n{close}\r\n",
        part.len()
    )?;
    if method != "HEAD" {
        send(stream, part, name.ends_with(".gz"), &now, manners)?;
    }
    Ok(())
}

fn send(
    mut out: &TcpStream,
    part: &[u8],
    tarball: bool,
    now: &Manners,
    manners: &Mutex<Manners>,
) -> std::io::Result<()> {
    let mut sent = 0;
    for chunk in part.chunks(4096) {
        if tarball && now.cut_after.is_some_and(|most| sent >= most) {
            return Ok(());
        }
        if tarball && now.silent_after.is_some_and(|most| sent >= most) {
            manners.lock().unwrap().silent_after = None;
            std::thread::sleep(Duration::from_secs(30));
            return Ok(());
        }
        out.write_all(chunk)?;
        sent += chunk.len();
        std::thread::sleep(Duration::from_millis(now.slow_ms));
    }
    Ok(())
}

fn index(files: &[(String, Vec<u8>)]) -> String {
    let mut page = "<html><head><title>Index of /alerts/public</title></head><body><table>\n\
        <tr><th><a href=\"?C=N;O=D\">Name</a></th><th><a href=\"?C=S;O=A\">Size</a></th></tr>\n\
        <tr><td><a href=\"/alerts/\">Parent Directory</a></td><td align=\"right\">  - </td></tr>\n"
        .to_owned();
    for (name, bytes) in files {
        let size = match bytes.len() {
            small @ 0..1024 => small.to_string(),
            large => format!("{:.1}K", large as f64 / 1024.0),
        };
        page.push_str(&format!(
            "<tr><td valign=\"top\"><img src=\"/icons/compressed.gif\" alt=\"[   ]\"></td><td><a href=\"{name}\">{name}</a></td>\
             <td align=\"right\">2018-11-30 14:02  </td><td align=\"right\">{size} </td><td>&nbsp;</td></tr>\n"
        ));
    }
    page + "</table></body></html>\n"
}
