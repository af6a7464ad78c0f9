#include "slicer_widgets.h"

#include <ctkCollapsibleButton.h>
#include <ctkRangeWidget.h>

void qMRMLWidget::setMRMLScene(vtkMRMLScene* scene)
{
  if (scene != m_scene)
  {
    m_scene = scene;
    emit mrmlSceneChanged(scene);
  }
}

qMRMLNodeComboBox::qMRMLNodeComboBox(QWidget* parent) : QWidget(parent), m_box(new QComboBox(this))
{
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_box);
  connect(m_box, SIGNAL(currentIndexChanged(int)), this, SLOT(chosen()));
}

void qMRMLNodeComboBox::setMRMLScene(vtkMRMLScene* scene)
{
  m_scene = scene;
  emit m_notifier.changed();
}

void qMRMLNodeComboBox::hostOffer(const QStringList& ids, const QStringList& names, const QStringList& addresses)
{
  const QString current = currentNodeID();
  m_offering = true;
  m_box->clear();
  m_nodes.clear();
  if (m_noneEnabled)
    m_box->addItem("None", "");
  for (int i = 0; i < ids.size(); ++i)
  {
    m_box->addItem(names[i], ids[i]);
    m_nodes[ids[i]] = reinterpret_cast<vtkMRMLNode*>(addresses[i].toULongLong(nullptr, 16));
  }
  const int found = current.isEmpty() ? -1 : m_box->findData(current);
  m_box->setCurrentIndex(found >= 0 ? found : qMin(0, m_box->count() - 1));
  m_offering = false;
  chosen();
}

void qMRMLNodeComboBox::chosen()
{
  if (m_offering || currentNodeID() == m_last)
    return;
  m_last = currentNodeID();
  emit currentNodeIDChanged(m_last);
  emit currentNodeChanged(currentNode());
  emit currentNodeChanged(currentNode() != nullptr);
}

qMRMLSegmentsTableView::qMRMLSegmentsTableView(QWidget* parent)
  : qMRMLWidget(parent), m_table(new QTableWidget(0, 1, this))
{
  m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->addWidget(m_table);
  connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this,
    &qMRMLSegmentsTableView::selectionChanged);
}

void qMRMLSegmentsTableView::setSegmentationNode(vtkMRMLNode* node)
{
  m_node = node;
  emit m_notifier.changed();
}

QStringList qMRMLSegmentsTableView::selectedSegmentIDs()
{
  QStringList found;
  for (const QModelIndex& index : m_table->selectionModel()->selectedRows())
    found << m_ids.value(index.row());
  return found;
}

void qMRMLSegmentsTableView::setSelectedSegmentIDs(QStringList ids)
{
  if (ids == selectedSegmentIDs())
    return;
  QItemSelectionModel* model = m_table->selectionModel();
  auto flags = QItemSelectionModel::Rows | QItemSelectionModel::ClearAndSelect; // as Slicer's: only the first clears
  bool any = false;
  for (const QString& id : ids)
    if (m_ids.contains(id))
    {
      model->select(m_table->model()->index(m_ids.indexOf(id), 0), flags);
      flags = QItemSelectionModel::Rows | QItemSelectionModel::Select;
      any = true;
    }
  if (!any)
    model->clearSelection();
}

void qMRMLSegmentsTableView::hostShow(const QStringList& ids, const QStringList& names)
{
  const QStringList selected = selectedSegmentIDs();
  const bool blocked = m_table->selectionModel()->blockSignals(true);
  m_ids = ids;
  m_table->setRowCount(0);
  m_table->setRowCount(ids.size());
  for (int i = 0; i < ids.size(); ++i)
    m_table->setItem(i, 0, new QTableWidgetItem(names[i]));
  for (const QString& id : selected)
    if (ids.contains(id))
      m_table->selectRow(ids.indexOf(id));
  m_table->selectionModel()->blockSignals(blocked);
  if (selected != selectedSegmentIDs())
    emit selectionChanged({}, {});
}

QWidget* HostUiLoader::createWidget(const QString& className, QWidget* parent, const QString& name)
{
  QWidget* widget = nullptr;
  if (className == "ctkCollapsibleButton")
    widget = new ctkCollapsibleButton(parent);
  else if (className == "ctkRangeWidget")
    widget = new ctkRangeWidget(parent);
  else if (className == "qMRMLWidget")
    widget = new qMRMLWidget(parent);
  else if (className == "qMRMLNodeComboBox")
    widget = new qMRMLNodeComboBox(parent);
  else if (className == "qMRMLSegmentsTableView")
    widget = new qMRMLSegmentsTableView(parent);
  else
    return QUiLoader::createWidget(className, parent, name);
  widget->setObjectName(name);
  return widget;
}
