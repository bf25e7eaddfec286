//! The far end of a stream on which COMPRESS has been agreed upon (RFC 4978): what a server in a test says and hears is
//! deflated and inflated on the way.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf,
};

/// A stream in place of the one given, which carries deflated octets from now on. What is buffered already is deflated too.
pub(crate) fn deflated<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(stream: BufReader<S>) -> DuplexStream {
    let (plain, ours) = tokio::io::duplex(1 << 16);
    let (from_client, to_client) = tokio::io::split(stream);
    let (from_server, to_server) = tokio::io::split(ours);
    tokio::spawn(inflate(from_client, to_server));
    tokio::spawn(deflate(from_server, to_client));
    plain
}

/// That a client hangs up, or sends what cannot be inflated, ends what the server hears.
async fn inflate<S: AsyncRead>(from: ReadHalf<BufReader<S>>, mut to: WriteHalf<DuplexStream>) {
    let (mut from, mut inflater) = (BufReader::new(from), Decompress::new(false));
    while let Ok(octets) = from.fill_buf().await
        && !octets.is_empty()
    {
        let (mut inflated, mut taken) = (Vec::with_capacity(1 << 16), 0);
        while taken < octets.len() || inflated.is_empty() {
            let before = inflater.total_in();
            let octets = &octets[taken..];
            match inflater.decompress_vec(octets, &mut inflated, FlushDecompress::None) {
                Ok(Status::Ok) => {}
                Ok(Status::BufError) if octets.is_empty() => break,
                _ => return,
            }
            taken += (inflater.total_in() - before) as usize;
            if inflated.len() == inflated.capacity() {
                inflated.reserve(1 << 16);
            }
        }
        from.consume(taken);
        if to.write_all(&inflated).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

async fn deflate<S: AsyncWrite>(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<S>) {
    let (mut deflater, mut said) = (Compress::new(Compression::fast(), false), vec![0; 1 << 16]);
    while let Ok(octets @ 1..) = from.read(&mut said).await {
        let mut deflated = Vec::with_capacity(octets + 1024);
        if deflater.compress_vec(&said[..octets], &mut deflated, FlushCompress::Sync).is_err()
            || to.write_all(&deflated).await.is_err()
            || to.flush().await.is_err()
        {
            return;
        }
    }
    let _ = to.shutdown().await;
}
