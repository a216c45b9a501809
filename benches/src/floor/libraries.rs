//! The libraries that serve our webhook, and nothing else around what answers.

use std::{net::TcpListener, sync::Arc};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::{io::BufReader, net::TcpStream, runtime::Builder};
use tokio_rustls::TlsAcceptor;
use webhook::admission::Task;

use super::{Answers, READ_SIZE};

pub(super) fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    answers: Arc<Answers>,
) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_io().build()?;
    let tls = TlsAcceptor::from(tls);
    let accepts = async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (tls, answers) = (tls.clone(), Arc::clone(&answers));
            // Whoever goes away goes away.
            tokio::spawn(async move { converse(stream, tls, &answers).await.ok() });
        }
    };
    // On one of its workers, where it need not wake another for each connection.
    runtime.block_on(runtime.spawn(accepts))?
}

/// Answers until the other side has enough.
async fn converse(stream: TcpStream, tls: TlsAcceptor, answers: &Answers) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(BufReader::with_capacity(READ_SIZE, stream)).await?;
    let service = service_fn(|request: Request<Incoming>| async {
        let answer: Bytes = match answers {
            Answers::Known(answers) => {
                let answer = answers.get(request.uri().path().trim_start_matches('/')).cloned();
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    frame?;
                }
                answer.context("no such path")?
            }
            Answers::Decided(admission) => {
                let body = request.into_body().collect().await?.to_bytes();
                admission.review(&body, Task::Mutate, None).await.ok().context("our handler failed")?
            }
        };
        anyhow::Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(Full::new(answer))?)
    });
    Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
}
