"""The members of the rnn family."""

from quintet.models.member import Member
from quintet.models.rnn.fits import recurrent_fits

MEMBERS: dict[str, Member] = {
    "rnn": Member(
        path="quintet.models.rnn.rnn:RNN",
        title="RNN",
        paper="Elman 1990, Finding Structure in Time",
        inputs=("series", "image", "text"),
        fits=recurrent_fits,
    ),
    "lstm": Member(
        path="quintet.models.rnn.lstm:LSTM",
        title="LSTM",
        paper="Hochreiter, Schmidhuber 1997, Long Short-Term Memory (forget gate: Gers, Schmidhuber, Cummins 2000)",
        inputs=("series", "image", "text"),
        fits=recurrent_fits,
    ),
    "gru": Member(
        path="quintet.models.rnn.gru:GRU",
        title="GRU",
        paper="Cho et al. 2014, Learning Phrase Representations using RNN Encoder-Decoder for Machine Translation",
        inputs=("series", "image", "text"),
        fits=recurrent_fits,
    ),
}
