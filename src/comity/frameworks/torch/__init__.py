"""Any torch module as a comity model: `co.torch.Model`, and torch's own optimizers: `co.torch.Optimizer`."""

from comity.frameworks.torch.model import Model as Model
from comity.frameworks.torch.optimizer import Optimizer as Optimizer
from comity.frameworks.torch.optimizer import Scheduler as Scheduler
