//! The share of HTTP in goal 8: a server that answers every request with the same octets, with the HTTP library that ours has and nothing
//! around it.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use actix_http::{HttpService, Request, Response, StatusCode};
use actix_server::Server as ActixServer;
use actix_service::fn_service;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::web::Bytes;
use futures_core::Stream;

use crate::measure::Server;

/// The argument with which the bench runs itself as this server. The length of the answers follows.
pub const CHILD: &str = "http-child";

/// Starts the server in a process of its own. Its answers have this many octets.
pub fn start(length: usize) -> (Server, String) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([CHILD, &length.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (Server(child), address.trim().to_owned())
}

/// Serves until the process is killed.
pub fn child(length: &str) {
    let answer = Bytes::from(vec![0x30; length.parse().unwrap()]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let served = actix_web::rt::System::new().block_on(async move {
        let server =
            ActixServer::build().workers(std::thread::available_parallelism().unwrap().get());
        let server = server.listen("http", listener, move || {
            let answer = answer.clone();
            let serve = move |request| serve(request, answer.clone());
            HttpService::build()
                .keep_alive(Duration::from_secs(30))
                .client_request_timeout(Duration::from_secs(10))
                .h1(fn_service(serve))
                .tcp()
        });
        server.unwrap().run().await
    });
    served.unwrap();
}

async fn serve(mut request: Request, answer: Bytes) -> Result<Response<Bytes>, actix_http::Error> {
    let mut payload = request.take_payload();
    while let Some(part) =
        std::future::poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await
    {
        part.unwrap();
    }
    let mut response = Response::with_body(StatusCode::OK, answer);
    for (name, value) in
        [(CONTENT_TYPE, "application/ocsp-response"), (CACHE_CONTROL, "no-cache, no-store")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
