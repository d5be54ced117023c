"""What the sets of small images share: whole batches out of memory, without worker processes.

Images stay in memory as arrays; a batch is cropped, flipped and normalised at once, on the model's
device. The pipeline of the test set is what the host's Inferencer runs for single images.
"""

data_preprocessor = dict(
    type='automix_mm.ArrayPreprocessor',
    to_rgb=True,  # of single images; batches are RGB
)

train_dataloader = dict(
    batch_size=100,
    num_workers=0,
    drop_last=True,
    collate_fn=dict(type='automix_mm.batch_collate'),
    dataset=dict(split='train', batched=True),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    collate_fn=dict(type='automix_mm.batch_collate'),
    dataset=dict(split='test', batched=True, pipeline=[dict(type='PackInputs')]),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
