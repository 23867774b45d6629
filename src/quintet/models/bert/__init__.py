"""The members of the bert family."""

from quintet.models.bert.fits import bert_fits
from quintet.models.member import Member

MEMBERS: dict[str, Member] = {
    "bert": Member(
        path="quintet.models.bert.bert:BERT",
        title="BERT",
        variant="BERT {num_layers}/{embed_dim}",
        paper="Devlin, Chang, Lee, Toutanova 2019, BERT: Pre-training of Deep Bidirectional Transformers",
        inputs=("text",),
        fits=bert_fits,
        checkpoints=True,
    ),
}
